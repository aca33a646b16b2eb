"""Progress bars of the commands: one for each stage of a long piece of work."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Stage = Callable[[str, int], Callable[[], None]]
"""Told the name of a stage and its number of images; returns what is called after each image."""


@contextmanager
def stages() -> Iterator[Stage]:
    """Show one bar for each stage on stderr where a person looks at it."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not sys.stderr.isatty()) as bar:

        def stage(name: str, total: int) -> Callable[[], None]:
            task = bar.add_task(name, total=total)
            return lambda: bar.advance(task)

        yield stage
