"""What the commands that judge open first, refused where an option names what cannot be."""

from typing import TYPE_CHECKING

import typer

from ladnn.errors import BundleError, DataError

if TYPE_CHECKING:
    from ladnn.bundle import Bundle
    from ladnn.runtime import Predictor
    from ladnn.scoring import Settings


def interval_settings(replicates: int, level: float, seed: int) -> "Settings":
    """How intervals are made; raises typer.BadParameter for what makes none."""
    from ladnn.intervals import check_settings
    from ladnn.scoring import Settings

    try:
        check_settings(replicates, level)
    except DataError as error:
        raise typer.BadParameter(str(error)) from error
    return Settings(replicates=replicates, level=level, seed=seed)


def open_predictor(
    name: str, operating_point: str, engine: str, threads: int | None, images: int
) -> "tuple[Bundle, Predictor]":
    """The bundle, and the bundle at work on so many images.

    Raises:
        BundleError: a bundle that cannot be loaded.
        typer.BadParameter: an engine or an operating point that is not there.
    """
    from ladnn.engines import ENGINES, processor_threads
    from ladnn.runtime import Predictor, load_bundle

    if engine not in ENGINES:
        raise typer.BadParameter(f"unknown engine {engine!r}: choose {' or '.join(ENGINES)}")
    bundle = load_bundle(name)
    try:
        bundle.card.operating_point(operating_point)
    except BundleError as error:
        raise typer.BadParameter(str(error)) from error
    threads = threads or processor_threads()
    # One image gets every thread; of many, each thread takes its own.
    streams = min(threads, images) or 1
    return bundle, Predictor(bundle, engine=engine, threads=threads, streams=streams)
