"""`ladnn remote predict`: as `ladnn predict`, the work being done by a site."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ladnn.commands.answers import JsonPrinter, Line, TablePrinter, progress
from ladnn.commands.extras import site_side
from ladnn.commands.inputs import Images
from ladnn.commands.predict import Item, find_items
from ladnn.errors import LadnnError, RemoteError
from ladnn.findings import LESIONS, Prediction

if TYPE_CHECKING:
    from ladnn.client import Client

app = typer.Typer(no_args_is_help=True, help="Use a site from the command line.")

Answer = tuple[Item, Line | LadnnError]

_AT_ONCE = 4  # requests under way at the same time


@app.callback()
def _group() -> None:
    pass


@app.command()
def predict(
    url: Annotated[str, typer.Argument(help="The site, as https://ladnn.example.org.")],
    paths: Images,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object for each line.")] = False,
    frame: Annotated[int | None, typer.Option(min=1, help="Of a multi-frame file, from 1.")] = None,
    key: Annotated[
        str, typer.Option(envvar="LADNN_KEY", help="An API key; best given by the environment.")
    ] = "",
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for each answer.")] = 60.0,
) -> None:
    """Send images to a site and print what it says of each; the site keeps them.

    A file that fails is named with its reason, the others go on, and the exit code is then 1. With
    a key, what was sent before is not tested again; without one each call stores a new result.
    `heatmap` is the address of the map of COVID-19.

    Example: ladnn remote predict https://ladnn.example.org scan.png study/ --json
    """
    with site_side("using a site"):
        from ladnn.client import Client
    items = list(find_items(paths))
    shown = (item.path for item in items)
    printer = JsonPrinter() if as_json else TablePrinter((True,) * len(LESIONS), shown)
    failed = 0
    with Client(url, key=key, timeout=timeout) as client, progress(len(items)) as advance:
        for item, result in _answers(client, items, frame):
            advance()
            if isinstance(result, LadnnError):
                failed += 1
                printer.failure(item.path, result)
            else:
                printer.image(result)
    printer.end(None)
    if failed:
        raise typer.Exit(1)


def _answers(client: "Client", items: list[Item], frame: int | None) -> Iterator[Answer]:
    """Each item with its answer, in their order, a few requests at the same time."""

    def ask(item: Item) -> Answer:
        try:
            if item.error is not None:
                raise item.error
            return item, _line(client, item.path, frame, client.predict(item.path, frame=frame))
        except LadnnError as error:
            return item, error

    yield from _in_threads(ask, items)


def _in_threads(work: Callable[[Item], Answer], items: list[Item]) -> Iterator[Answer]:
    """As ThreadPoolExecutor.map, by threads that nobody waits for who has had enough."""
    futures: list[Future[Answer]] = [Future() for _ in items]
    waiting = deque(zip(items, futures, strict=True))

    def serve() -> None:
        with suppress(IndexError):  # when nothing waits any more
            while True:
                item, future = waiting.popleft()
                try:
                    future.set_result(work(item))
                except Exception as error:
                    future.set_exception(error)

    for _ in range(min(_AT_ONCE, len(items))):
        Thread(target=serve, daemon=True).start()
    for future in futures:
        yield future.result()


def _calibrated(said: Any) -> tuple[bool, ...]:  # noqa: ANN401  # JSON of another machine
    """For each lesion; KeyError or TypeError where it is not said."""
    return tuple(bool(said[lesion]) for lesion in LESIONS)


def _require_shares(*values: float) -> None:
    """Raise TypeError or ValueError where another machine has something else than 0 to 1."""
    if not all(0 <= value <= 1 for value in values):
        raise ValueError


def _line(client: "Client", path: Path, frame: int | None, said: dict[str, object]) -> Line:
    try:
        prediction = Prediction.from_json(said)
        _require_shares(prediction.probability, prediction.score, *(prediction.lesions or ()))
        heatmap = f"{client.url}{said['heatmap']}"
        calibrated = _calibrated(said["calibrated"]) if prediction.lesions else ()
    except (KeyError, TypeError, ValueError) as error:
        raise RemoteError(f"{client.url} answers in another form: check its version") from error
    return Line(
        path=path,
        prediction=prediction,
        heatmap=heatmap,
        study="",
        calibrated=calibrated,
        frame=frame,
    )
