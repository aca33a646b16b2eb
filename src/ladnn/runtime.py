"""The runtime: a bundle becomes a Predictor, and images become predictions with their maps."""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ladnn import engines, guard
from ladnn.bundle import Bundle, Card, load_bundle
from ladnn.calibration import probability
from ladnn.engines import Outputs, Settings
from ladnn.errors import BundleError, LadnnError
from ladnn.findings import Decision, Prediction
from ladnn.imaging import CtImage
from ladnn.looks import Look, take_look
from ladnn.lungfield import FRAMES, LungField, input_shape

__all__ = ["DEFAULT_ENGINE", "DEFAULT_POINT", "Assessment", "Bundle", "Predictor", "load_bundle"]

DEFAULT_ENGINE = "openvino"
DEFAULT_POINT = "balanced"

Source = TypeVar("Source")
Result = TypeVar("Result")


class Assessment(NamedTuple):
    """What is said of one image.

    Attributes:
        prediction: probabilities and decision.
        maps: float32 [6, h, w] in [0, 1], [1, h, w] of a baseline; the peak of each is its
            probability, so that a confident absence does not glow.
        field: the part of the image that the maps lie over.
        embedding: float32 [C], the features under the heads; empty where a stand-in gives none.
    """

    prediction: Prediction
    maps: NDArray[np.float32]
    field: LungField
    embedding: NDArray[np.float32] = np.empty(0, dtype=np.float32)


class Predictor:
    """A bundle at work; made once, used from any thread."""

    def __init__(
        self,
        bundle: Bundle,
        *,
        engine: str = DEFAULT_ENGINE,
        threads: int | None = None,
        streams: int = 1,
        precision: str | None = None,
        elastic: bool = False,
    ) -> None:
        """Build the engine.

        Args:
            bundle: from `load_bundle`.
            engine: a name in `engines.ENGINES`.
            threads: of the processor; all that the process may use by default.
            streams: images at the same time in `each`; 1 answers a single image soonest.
            precision: "float32" or "bfloat16"; the card's by default.
            elastic: whether an image that comes alone has the threads of all `streams`; this holds
                the network in memory twice.

        Raises:
            BundleError: when the engine is missing or refuses the graph, or when the card asks for
                a preprocessing that is not known here or not the graph's.
        """
        if bundle.card.preprocessing not in FRAMES:
            raise BundleError(
                f"the preprocessing {bundle.card.preprocessing!r} of {bundle.path} is not known: "
                f"expected one of {', '.join(FRAMES)}; install the ladnn that wrote the bundle"
            )
        self.card = bundle.card
        self.streams = streams
        self._guard = guard.Guard.from_json(bundle.card.guard)
        settings = Settings(
            precision=precision or bundle.card.precision,
            threads=threads or engines.processor_threads(),
            streams=streams,
        )
        self._engine = engines.build(engine, bundle.model, settings)
        if elastic and streams > 1:
            alone = engines.build(engine, bundle.model, replace(settings, streams=1))
            self._engine = engines.Elastic(alone, self._engine)
        _check_shape(bundle, self._engine.shape)

    @cached_property
    def card_sha256(self) -> str:
        """sha256 of the whole card, which holds that of the graph: of all that an answer rests on.

        Two versions may have one graph and differ in temperature, cuts, guard or study rule.
        """
        text = json.dumps(self.card.to_json(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def run(self, batch: NDArray[np.uint8]) -> Outputs:
        """Run the graph on uint8 [N, R, S] that `lungfield.model_input` made, N >= 1."""
        return engines.run(self._engine, batch)

    def predict(
        self, images: Sequence[CtImage], operating_point: str = DEFAULT_POINT
    ) -> list[Assessment]:
        """Assess decoded images, in their order.

        Raises BundleError for an operating point that the card does not name.
        """
        self.card.operating_point(operating_point)
        return [self._see(image, operating_point) for image in images]

    def each(
        self,
        sources: Iterable[Source],
        read: Callable[[Source], CtImage],
        finish: Callable[[Source, CtImage, Assessment], Result],
        operating_point: str = DEFAULT_POINT,
    ) -> Iterator[tuple[Source, Result | LadnnError]]:
        """Read, assess and finish many images, `streams` at a time, in the order of `sources`.

        A source whose reading or finishing raises a LadnnError yields that error and the others
        go on. At most a few images are held at once, so memory does not grow with their number.
        """
        self.card.operating_point(operating_point)

        def work(source: Source) -> tuple[Source, Result | LadnnError]:
            try:
                image = read(source)
                return source, finish(source, image, self._see(image, operating_point))
            except LadnnError as error:
                return source, error

        if self.streams == 1:
            return map(work, sources)
        return in_order(work, sources, self.streams)

    def _see(self, image: CtImage, operating_point: str) -> Assessment:
        look = take_look(image.pixels, self.card.input_size, self.card.preprocessing)
        return self.assess(image.sha256, look, operating_point)

    def assess(self, sha256: str, look: Look, operating_point: str) -> Assessment:
        """Assess a look that was taken of the image of that hash, as the card says how.

        For whoever decodes elsewhere. Raises BundleError for an operating point that the card does
        not name, and for a graph that answers with what is no number.
        """
        outputs = self.run(look.square[np.newaxis])
        given = (outputs.logits, outputs.heatmaps, outputs.embedding)
        if not all(np.isfinite(values).all() for values in given):
            raise BundleError(
                f"the model.onnx of {self.card.name} {self.card.version} answers with what is no "
                "number: export the bundle again"
            )
        score = self._guard.score(look.evidence, outputs.embedding[0])
        assessable = score >= self._guard.threshold
        probabilities = calibrate(outputs.logits[0], self.card)
        point = self.card.operating_point(operating_point)
        prediction = Prediction(
            sha256=sha256,
            probability=probabilities[0],
            decision=point.decide(probabilities[0]) if assessable else Decision.NOT_ASSESSABLE,
            operating_point=operating_point,
            lesions=probabilities[1:] or None,
            score=score,
            assessable=assessable,
            model_name=self.card.name,
            model_version=self.card.version,
        )
        maps = scale_maps(outputs.heatmaps[0], probabilities)
        return Assessment(prediction, maps, look.field, outputs.embedding[0])


def _check_shape(bundle: Bundle, taken: tuple[int, int]) -> None:
    """Refuse a graph that takes other images than the card says."""
    card = bundle.card
    made = input_shape(card.input_size, card.preprocessing)
    if taken != made:
        raise BundleError(
            f"the model.onnx of {bundle.path} takes images of {taken[0]} x {taken[1]} pixels and "
            f"its card makes {made[0]} x {made[1]}: export the bundle again"
        )


def calibrate(logits: NDArray[np.float32], card: Card) -> tuple[float, ...]:
    """Probabilities in [0, 1] of one row of logits, each divided by its temperature.

    Raises BundleError when the graph gives another number of logits than the card names.
    """
    if logits.shape != (len(card.classes),):
        raise BundleError(
            f"the model.onnx of {card.name} has {logits.size} outputs and its card names "
            f"{len(card.classes)}: export the bundle again"
        )
    return tuple(probability(logits.astype(np.float64) / np.array(card.temperatures)).tolist())


def scale_maps(
    heatmaps: NDArray[np.float32], probabilities: Sequence[float]
) -> NDArray[np.float32]:
    """Scale maps [K, h, w] so that the peak of each is its probability; an empty map stays so."""
    peaks = heatmaps.max(axis=(1, 2), keepdims=True)
    share = np.asarray(probabilities, dtype=np.float32)[:, np.newaxis, np.newaxis]
    scaled = np.zeros_like(heatmaps)
    np.divide(heatmaps, peaks, out=scaled, where=peaks > 0)
    return scaled * share


def in_order(
    work: Callable[[Source], Result], sources: Iterable[Source], workers: int
) -> Iterator[Result]:
    """Map in threads, in order, with two items a worker under way and no more."""
    waiting = iter(sources)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="ladnn")
    under_way: deque[Future[Result]] = deque()
    try:
        under_way.extend(pool.submit(work, source) for source in islice(waiting, 2 * workers))
        while under_way:
            yield under_way.popleft().result()
            under_way.extend(pool.submit(work, source) for source in islice(waiting, 1))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
