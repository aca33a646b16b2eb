"""A bundle in 8 bits: the same networks in less time, temperatures and cuts fitted on them anew."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ladnn import engines
from ladnn.bundle import Bundle, Card
from ladnn.card_fitting import FittedGraph, Graph, Stage, fit_graph, unseen, validation_metrics
from ladnn.conversion import Frames, differences, installed_engines, larger, open_engine
from ladnn.dataset import Manifest, Record, hash_records
from ladnn.eight_bits import EightBits, to_eight_bits
from ladnn.errors import BundleError, DataError
from ladnn.export import check_target, write_bundle
from ladnn.fitting import Fitted
from ladnn.imaging import read_image
from ladnn.judging import difference
from ladnn.lungfield import model_input
from ladnn.registry import label_of
from ladnn.runtime import DEFAULT_ENGINE, Predictor
from ladnn.stored import EIGHT_BITS

EXAMPLES = 60
"""Training images of each source, at most, that the sizes of steps are taken from."""
PROVEN = 32
"""Examples, evenly spaced, on which the runtimes are held together."""
MOST_MOVED = 0.05
"""No probability on validation, of COVID-19 or a lesion, may move by more from float32's."""
MOST_APART = 0.02
"""No probability of an example may differ by more between two runtimes."""


def quantise(
    bundle: Bundle,
    manifest: Manifest,
    target: Path,
    *,
    version: str,
    force: bool = False,
    stage: Stage = unseen,
) -> Card:
    """Put a bundle's convolutions into 8 bits (`eight_bits`) and fit its card to the new graph.

    The guard stays as it is: the embedding that it reads hardly moves.

    Args:
        bundle: in float32.
        manifest: of its training; the test split is not read.
        target: the folder of the new bundle.
        version: of the new bundle; the name, the licence and the intended use stay.
        force: replace an older bundle.
        stage: for a progress bar.

    Raises:
        BundleError: a folder that is taken, a manifest that is not the training's, a graph without
            a convolution that bears it, or one that says something else then.
        RegistryError: a version that no registry could take.
        DataError, ImageError: as the parts that raise them say.
    """
    check_target(target, force=force)
    card = bundle.card
    label_of(card.name, version)
    learned = _learned(card, manifest)
    examples = _examples(learned, card, stage)
    eight = to_eight_bits(bundle.model, examples, stage)
    apart = _apart(eight.content, examples[:: -(-len(examples) // PROVEN)])
    graph = Graph(content=eight.content, size=card.input_size, frame=card.preprocessing)
    exact = open_engine(DEFAULT_ENGINE, bundle.model)
    found = fit_graph(graph, learned, stage=stage, other=exact)
    made = _refitted(card, version, found.fitted, eight.content)
    quick = replace(bundle, card=made, model=eight.content)
    validation = learned.part("val")
    said = _record(eight, found, apart)
    said["validation"]["refusals_changed"] = _refusals(bundle, quick, validation, stage)
    return write_bundle(
        target,
        eight.content,
        replace(made, training={**card.training, EIGHT_BITS: said}),
        measure=lambda folder: validation_metrics(folder, validation, stage),
        force=force,
    )


def _refitted(card: Card, version: str, fitted: Fitted, content: bytes) -> Card:
    return replace(
        card,
        version=version,
        temperature=fitted.temperature,
        lesions=fitted.lesions,
        operating_points=fitted.operating_points,
        study_rule=fitted.study_rule,
        precision="float32",  # of what is not in 8 bits
        metrics={},
        sha256=hashlib.sha256(content).hexdigest(),
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
    places = np.linspace(0, len(records) - 1, min(len(records), EXAMPLES)).astype(int)
    return [records[place] for place in places]


def _apart(content: bytes, examples: Frames) -> dict[str, float]:
    """The largest differences between the installed runtimes, in probability and in scaled maps.

    Nothing where one alone is installed: then nobody knows.
    """
    first, *others = (
        engines.run(open_engine(name, content, threads=1), examples) for name in installed_engines()
    )
    if not others:
        return {}
    worst = {"probability": 0.0, "heatmaps": 0.0}
    for other in others:
        worst = larger(worst, differences(first, other))
    if not worst["probability"] <= MOST_APART:
        raise BundleError(
            f"in 8 bits the runtimes disagree by {worst['probability']:.3f} in probability: "
            "use the bundle as it is"
        )
    return worst


def _refusals(bundle: Bundle, quick: Bundle, validation: Manifest, stage: Stage) -> int:
    """Of how many validation images the guard, which stays as it is, says something else now."""
    advance = stage("guard", len(validation))
    predictors = [Predictor(each) for each in (bundle, quick)]
    point = next(iter(bundle.card.operating_points))
    changed = 0
    for record in validation:
        image = read_image(record.path)
        one, other = (each.predict([image], point)[0].prediction for each in predictors)
        changed += one.assessable != other.assessable
        advance()
    return changed


def _record(eight: EightBits, found: FittedGraph, apart: dict[str, float]) -> dict[str, Any]:
    """What the card says of it; refuses a graph that says something else than float32."""
    moved = difference(found.judged, found.fitted)
    if not moved.largest <= MOST_MOVED:
        raise BundleError(
            f"in 8 bits a probability on validation is {moved.largest:.3f} from what float32 says: "
            "use the bundle as it is"
        )
    median, most = (float(np.quantile(moved.covid, share)) for share in (0.5, 1))
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
