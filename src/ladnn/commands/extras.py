"""What a command says when the part of the program it needs is not installed."""

from collections.abc import Iterator
from contextlib import contextmanager

from ladnn.errors import ConfigError


@contextmanager
def training_side(doing: str) -> Iterator[None]:
    """Import the training side inside this; `doing` begins the sentence when it is missing.

    Raises:
        ConfigError: when a module cannot be found.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{doing} needs the training side ({error.name} is missing): pip install 'ladnn[train]'"
        ) from error
