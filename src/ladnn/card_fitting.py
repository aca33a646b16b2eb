"""What a bundle's card holds of a graph, fitted on training and validation images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ladnn.bundle import load_bundle
from ladnn.conversion import Frames, open_engine
from ladnn.dataset import Manifest, Record
from ladnn.engines import Engine
from ladnn.evaluation import evaluate
from ladnn.fitting import Fitted, fit
from ladnn.guard import Guard
from ladnn.guard_fitting import Chest, fit_guard, most_rows
from ladnn.imaging import read_image
from ladnn.judging import Judged, Pixels, judge, read_all, scored
from ladnn.runtime import DEFAULT_ENGINE, Predictor

GUARD_IMAGES = 1500
"""Training images that the guard is fitted on at most."""

Stage = Callable[[str, int], Callable[[], None]]
"""Told the name of a stage and its number of images; returns what is called after each image."""


def unseen(name: str, total: int) -> Callable[[], None]:
    """The `Stage` of work that nobody watches."""
    return lambda: None


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A proven model.onnx.

    Attributes:
        content: bytes of the file.
        size, frame: of what it takes; see `bundle.Card`, which calls the second `preprocessing`.
    """

    content: bytes
    size: int
    frame: str


@dataclass(frozen=True, kw_only=True)
class FittedGraph:
    """What validation says of a graph.

    Attributes:
        images: the validation images, uint8 [H, W] each.
        judged: their logits.
        fitted: to those.
    """

    images: list[Pixels]
    judged: Judged
    fitted: Fitted


def fit_graph(
    graph: Graph, manifest: Manifest, *, stage: Stage, other: Engine | None = None
) -> FittedGraph:
    """Fit temperatures and operating points on the manifest's validation split.

    Args:
        graph: proven.
        manifest: as it says.
        stage: for a progress bar.
        other: is shown the validation images too, to be compared.

    Raises:
        DataError, ImageError: a split that is empty, an image that cannot be read.
    """
    engine = open_engine(DEFAULT_ENGINE, graph.content)
    records = manifest.part("val").records
    images = read_all(records, read_image, stage("validation images", len(records)))
    judged = judge(images, engine, size=graph.size, frame=graph.frame, other=other)
    return FittedGraph(images=images, judged=judged, fitted=fit(scored(records, judged)))


def guard_of(
    graph: Graph, manifest: Manifest, images: list[Pixels], *, decoys: int, stage: Stage
) -> Guard:
    """Fit the guard on the training and validation images and on drawings.

    Args:
        graph: proven.
        manifest: its train and val splits are read, and no other.
        images: of the validation split.
        decoys: drawings of each kind of picture that is no chest CT.
        stage: for a progress bar.

    Raises:
        DataError, ImageError: no training image, or one that cannot be read.
    """
    engine = open_engine(DEFAULT_ENGINE, graph.content)
    records = manifest.part("val").records
    chests = _chests(records, images, validation=True) + _training_chests(manifest, stage)
    advance = stage("guard", most_rows(chests, decoys))

    def embed(frames: Frames) -> NDArray[np.float32]:
        return np.concatenate([_embedding(engine, one, advance) for one in frames])

    return fit_guard(chests, embed, size=graph.size, frame=graph.frame, decoys=decoys)


def _embedding(engine: Engine, frame: Frames, advance: Callable[[], None]) -> NDArray[np.float32]:
    advance()
    return engine.infer(frame[np.newaxis])[2]


def _chests(records: Sequence[Record], images: list[Pixels], *, validation: bool) -> list[Chest]:
    return [
        Chest(pixels=pixels, source=record.source, validation=validation)
        for record, pixels in zip(records, images, strict=True)
    ]


def _training_chests(manifest: Manifest, stage: Stage) -> list[Chest]:
    """At most `GUARD_IMAGES`, evenly spaced over the manifest and so over its sources."""
    records = manifest.part("train").records
    records = records[:: max(1, -(-len(records) // GUARD_IMAGES))]
    images = read_all(records, read_image, stage("training images", len(records)))
    return _chests(records, images, validation=False)


def validation_metrics(folder: Path, validation: Manifest, stage: Stage) -> dict[str, Any]:
    """Metrics of a finished bundle on validation, by the same code as `ladnn evaluate`."""
    predictor, advance = Predictor(load_bundle(folder)), stage("metrics", len(validation))
    found = evaluate(predictor, validation, "val", on_image=advance).to_json()
    return {key: found[key] for key in ("split", "labels", "intervals", "all", "sources")}
