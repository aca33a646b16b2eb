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
    with _extra(doing, "training side", "train"):
        yield


@contextmanager
def site_side(doing: str) -> Iterator[None]:
    """Import the site inside this, as `training_side` does for training."""
    with _extra(doing, "site's side", "serve"):
        yield


@contextmanager
def drawing_side(doing: str) -> Iterator[None]:
    """Import what draws figures inside this, as `training_side` does for training."""
    with _extra(doing, "drawing side", "figures"):
        yield


@contextmanager
def auditing_side(doing: str) -> Iterator[None]:
    """Import what an audit needs inside this, as `training_side` does for training."""
    with _extra(doing, "auditing side", "audit"):
        yield


@contextmanager
def _extra(doing: str, what: str, extra: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{doing} needs the {what} ({error.name} is missing): pip install 'ladnn[{extra}]'"
        ) from error
