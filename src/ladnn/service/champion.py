"""The champion: the predictor that answers, replaced while requests go on."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ladnn.engines import processor_threads
from ladnn.lungfield import input_shape
from ladnn.runtime import Bundle, Predictor
from ladnn.service.settings import Settings

CHECK_SECONDS = 3.0


class Champion:
    """Gives the predictor of the bundle that `locate` names, asking again every few seconds.

    A new bundle is loaded beside the old one, which answers until the new one is ready; requests
    that hold the old one finish with it. A bundle that cannot be loaded leaves the old one at work.
    """

    def __init__(
        self,
        locate: Callable[[], str],
        build: Callable[[str], Predictor],
        report: Callable[[str, Exception], None],
        seconds: float = CHECK_SECONDS,
    ) -> None:
        """Load the first champion, so that a site that cannot answer does not start.

        Args:
            locate: names the bundle, such as a folder; cheap, may raise when the database is away.
            build: makes its predictor; slow.
            report: is told of a bundle's name that could not be loaded, and why.
            seconds: between two looks, whether requests come or not.
        """
        self._locate, self._build, self._report, self._seconds = locate, build, report, seconds
        self._name = locate()
        self._predictor = build(self._name)
        self._closed = threading.Event()
        threading.Thread(target=self._watch, name="champion", daemon=True).start()

    def __call__(self) -> Predictor:
        """The champion of this moment."""
        return self._predictor

    def close(self) -> None:
        """Look no more."""
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(self._seconds):
            name = self._name
            try:
                name = self._locate()
                if name != self._name:
                    self._predictor = self._build(name)
                    self._name = name
            except Exception as error:  # whatever it is, the old one goes on
                self._report(name, error)


def build_predictor(settings: Settings, bundle: Bundle) -> Predictor:
    """A predictor for requests that come at the same time; one that comes alone has all threads.

    There is one stream more than threads, so that no core stands idle while the image that ran on
    it is handed over.
    """
    threads = settings.threads or max(1, processor_threads() // settings.workers)
    streams = threads + 1 if threads > 1 else 1
    predictor = Predictor(
        bundle, engine=settings.engine, threads=threads, streams=streams, elastic=True
    )
    predictor.card.operating_point(settings.operating_point)
    shape = input_shape(predictor.card.input_size, predictor.card.preprocessing)
    blank = np.zeros((1, *shape), dtype=np.uint8)
    with ThreadPoolExecutor(streams) as pool:  # the first run of each stream takes longest
        list(pool.map(predictor.run, [blank] * 2 * streams))
    return predictor
