"""A bundle in 8 bits: the same networks in less time, and a card that is fitted on them anew."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ladnn import engines
from ladnn.bundle import Bundle, Card
from ladnn.card_fitting import FittedGraph, Graph, Stage, fit_graph, unseen, validation_metrics
from ladnn.conversion import Frames, differences, installed_engines, open_engine
from ladnn.dataset import Manifest, Record, hash_records
from ladnn.eight_bits import EightBits, to_eight_bits
from ladnn.errors import BundleError, DataError
from ladnn.export import check_target, write_bundle
from ladnn.imaging import read_image
from ladnn.judging import difference
from ladnn.lungfield import model_input
from ladnn.runtime import DEFAULT_ENGINE
from ladnn.stored import EIGHT_BITS

EXAMPLES = 60
"""Training images of each source, at most, that the sizes of steps are taken from."""
PROVEN = 32
"""Examples, evenly spaced, on which the runtimes are held together."""
MOST_MOVED = 0.05
"""No probability of COVID-19 on validation may move by more from what float32 says."""
MOST_APART = 0.02
"""No probability of an example may differ by more between two runtimes."""


def quantise(
    bundle: Bundle,
    manifest: Manifest,
    target: Path,
    *,
    version: str,
    decoys: int = 60,
    force: bool = False,
    stage: Stage = unseen,
) -> Card:
    """Put a bundle's convolutions into 8 bits (`eight_bits`) and fit its card on the new graph.

    Args:
        bundle: in float32.
        manifest: of its training; the test split is not read.
        target: the folder of the new bundle.
        version: of the new bundle; the name, the licence and the intended use stay.
        decoys: drawings of each kind of picture that is no chest CT, to fit the guard on.
        force: replace an older bundle.
        stage: for a progress bar.

    Raises:
        BundleError: a folder that is taken, a manifest that is not the training's, a graph without
            a convolution that bears it, or one that says something else then.
        DataError, ImageError: as the parts that raise them say.
    """
    check_target(target, force=force)
    card = bundle.card
    learned = _learned(card, manifest)
    examples = _examples(learned, card, stage)
    eight = to_eight_bits(bundle.model, examples, stage)
    apart = _apart(eight.content, examples[:: -(-len(examples) // PROVEN)])
    graph = Graph(content=eight.content, size=card.input_size, frame=card.preprocessing)
    exact = open_engine(DEFAULT_ENGINE, bundle.model)
    found = fit_graph(graph, learned, decoys=decoys, stage=stage, other=exact)
    said = _record(eight, found, apart)
    return write_bundle(
        target,
        eight.content,
        replace(
            card,
            version=version,
            temperature=found.fitted.temperature,
            lesions=found.fitted.lesions,
            operating_points=found.fitted.operating_points,
            study_rule=found.fitted.study_rule,
            guard=found.guard,
            precision="float32",  # of what is not in 8 bits
            training={**card.training, EIGHT_BITS: said},
            metrics={},
            sha256=hashlib.sha256(eight.content).hexdigest(),
        ),
        measure=lambda folder: validation_metrics(folder, learned.part("val"), stage),
        force=force,
    )


def _learned(card: Card, manifest: Manifest) -> Manifest:
    """The train and val records of the bundle's sources, which its card knows by their hash."""
    sources = card.training.get("sources") or ()
    kept = tuple(r for r in manifest if r.source in sources and r.split in ("train", "val"))
    if not kept or hash_records(kept) != card.data_hash:
        raise BundleError(
            f"nothing shows that {card.name} {card.version} was trained on this manifest: give the "
            "one that it was trained and exported with"
        )
    return Manifest(records=kept, labels=manifest.labels)


def _examples(learned: Manifest, card: Card, stage: Stage) -> Frames:
    """Training images as the graph takes them, of each source evenly spaced."""
    training = learned.part("train")
    records = [record for source in training.sources for record in _spaced(training, source)]
    if not records:
        raise DataError("the manifest has no training image: give that of the bundle's training")
    advance = stage("training images", len(records))
    squares = []
    for record in records:
        pixels = read_image(record.path).pixels
        squares.append(model_input(pixels, card.input_size, card.preprocessing)[0])
        advance()
    return np.stack(squares)


def _spaced(training: Manifest, source: str) -> Sequence[Record]:
    records = [record for record in training if record.source == source]
    return list(islice(records[:: max(1, len(records) // EXAMPLES)], EXAMPLES))


def _apart(content: bytes, examples: Frames) -> dict[str, float]:
    """The largest differences between the installed runtimes, in probability and in scaled maps."""
    first, *others = (
        engines.run(open_engine(name, content, threads=1), examples) for name in installed_engines()
    )
    worst = {"probability": 0.0, "heatmaps": 0.0}
    for other in others:
        found = differences(first, other)
        # unlike max, it hands on what is no number
        worst = {key: float(np.maximum(worst[key], value)) for key, value in found.items()}
    if not worst["probability"] <= MOST_APART:
        raise BundleError(
            f"in 8 bits the runtimes disagree by {worst['probability']:.3f} in probability: "
            "use the bundle as it is"
        )
    return worst


def _record(eight: EightBits, found: FittedGraph, apart: dict[str, float]) -> dict[str, Any]:
    """What the card says of it; refuses a graph that says something else than float32."""
    moved = difference(found.judged, found.fitted)
    median, most = (float(np.quantile(moved.covid, share)) for share in (0.5, 1))
    if not most <= MOST_MOVED:
        raise BundleError(
            f"in 8 bits a probability on validation is {most:.3f} from what float32 says: "
            "use the bundle as it is"
        )
    return {
        "convolutions": len(eight.converted),
        "kept_float32": list(eight.kept),
        "validation": {
            "images": len(moved.covid),
            "probability_median": median,
            "probability_largest": most,
            "decisions_changed": moved.decisions,
        },
        "runtimes": apart,
    }
