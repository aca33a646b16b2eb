"""LA-DNN: reads chest CT images for COVID-19 and five lesions. For research use only."""


def __getattr__(name: str) -> str:
    """`__version__`, which is looked up only where somebody asks: that takes a moment."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    return version("ladnn")
