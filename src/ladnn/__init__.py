"""LA-DNN: reads chest CT images for COVID-19 and five lesions. For research use only."""

from importlib.metadata import version

__version__ = version("ladnn")
