"""Progress bars of the commands, on stderr and only where a person looks at it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

# rich is imported where it is used: `ladnn --help` and a wrong call need none of it.
if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

    from ladnn.card_fitting import Stage

Thing = TypeVar("Thing")


def bar(what: str) -> Callable[[Sequence[Thing]], Iterable[Thing]]:
    """Pass things on and draw how many are done."""

    def follow(things: Sequence[Thing]) -> Iterable[Thing]:
        with _shown() as shown:
            yield from shown.track(things, description=what)

    return follow


@contextmanager
def bars() -> Iterator[Callable[[str, Sequence[Any]], Iterable[Any]]]:
    """Pass things on under the name of what is done with them; one bar at a time."""
    with _shown() as shown:

        def follow(doing: str, things: Sequence[Any]) -> Iterable[Any]:
            task = shown.add_task(doing, total=len(things))
            yield from shown.track(things, task_id=task)
            shown.remove_task(task)

        yield follow


@contextmanager
def stages() -> "Iterator[Stage]":
    """One bar for each stage of a long piece of work."""
    with _shown() as shown:

        def stage(name: str, total: int) -> Callable[[], None]:
            task = shown.add_task(name, total=total)
            return lambda: shown.advance(task)

        yield stage


@contextmanager
def counting(what: str) -> Iterator[Callable[[str], None]]:
    """How many parts are done where nobody knows how many there are; told the name of each."""
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    count = TextColumn("{task.description} {task.completed:.0f}")
    with _shown(SpinnerColumn(), count, TimeElapsedColumn()) as shown:
        task = shown.add_task(what, total=None)
        yield lambda name: shown.advance(task)


@contextmanager
def _shown(*columns: "ProgressColumn") -> "Iterator[Progress]":
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as shown:
        yield shown
