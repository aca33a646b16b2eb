"""checkpoint -> bundle: one graph of all members, proven, fitted on validation, written whole."""

import contextlib
import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ladnn import engines
from ladnn.bundle import CARD_FILE, MODEL_FILE, Card, Member, write_card
from ladnn.card_fitting import Graph, Stage, fit_graph, guard_of, unseen, validation_metrics
from ladnn.checkpoint import Checkpoint, learned_part, read_checkpoint, weights_sha256
from ladnn.conversion import open_engine, phantom_frames, prove, rounding, to_onnx
from ladnn.dataset import Manifest, hash_records
from ladnn.engines import Engine
from ladnn.errors import BundleError, ConfigError
from ladnn.findings import OUTPUTS
from ladnn.fitting import Fitted, check_classes
from ladnn.graph import BundleGraph, combination
from ladnn.judging import safe_precision
from ladnn.lungfield import input_shape, joint_frame
from ladnn.model import LesionNet
from ladnn.paths import put_folder, require_writable
from ladnn.registry import label_of
from ladnn.runtime import DEFAULT_ENGINE
from ladnn.stored import Stored

UNSTATED = "not stated"
INTENDED_USE = (
    "Research on axial chest CT images in a lung window. Not a medical device: no decision on a "
    "patient may rest on it."
)
_UNFINISHED = ".ladnn-export-"  # no folder of anybody else's is named so
_OLD = "old"
_AT_WORK = 86_400  # seconds that an export may take, with room to spare


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """The checkpoints that make one bundle; all of one mode.

    Attributes:
        descriptions, nets, hashes: of each checkpoint.
        frame: that shows every network what it sees.
    """

    descriptions: tuple[Checkpoint, ...]
    nets: tuple[LesionNet, ...]
    hashes: tuple[str, ...]
    frame: str

    @property
    def mode(self) -> str:
        """That all share."""
        return self.descriptions[0].mode

    @property
    def size(self) -> int:
        """Side of the squares that the bundle takes; a network of a smaller one reduces them."""
        return max(item.input_size for item in self.descriptions)


@dataclass(frozen=True, kw_only=True)
class Model:
    """A proven model.onnx.

    Attributes:
        content: bytes of the file.
        ensemble: what it was made of.
        flip, stored: as it was made.
        agreement: the largest differences between torch and the runtimes, and between the rounded
            weights and the checkpoints', in probability and in maps scaled to [0, 1].
    """

    content: bytes
    ensemble: Ensemble
    flip: bool
    stored: Stored
    agreement: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a person says of the bundle: its name and version, its licence and its use."""

    name: str
    version: str = "1"
    licence: str = UNSTATED
    intended_use: str = INTENDED_USE


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to export.

    Attributes:
        flip: average over the image and its mirror image, which doubles the time.
        stored: how; rounded weights take about a half or a quarter of the file.
        precision: "auto" takes bfloat16 where validation finds it safe and this processor has it;
            or "float32".
        force: replace an older bundle.
        decoys: drawings of each kind of picture that is no chest CT, to fit the guard on.
    """

    flip: bool = False
    stored: Stored = Stored.FLOAT32
    precision: str = "auto"
    force: bool = False
    decoys: int = 60


def export(
    folders: Sequence[Path],
    manifest: Manifest,
    target: Path,
    identity: Identity,
    *,
    options: Options | None = None,
    stage: Stage = unseen,
) -> Card:
    """Make a bundle of checkpoints; what is fitted is fitted on the manifest's validation split.

    Args:
        folders: of the checkpoints, one for each member.
        manifest: train and val of the checkpoints' sources are taken of it, and nothing else.
        target: the bundle's folder.
        identity: for the card.
        options: how.
        stage: for a progress bar.

    Raises:
        BundleError: a folder that is taken, or runtimes that disagree with torch.
        RegistryError: a name or a version that no registry could take.
        ConfigError, WeightsError, DataError, ImageError: as the parts that raise them say.
    """
    chosen = options or Options()
    # what is sure to fail fails before minutes are spent
    check_target(target, force=chosen.force)
    label_of(identity.name, identity.version)
    ensemble = read_ensemble(folders)
    learned = learned_part(manifest, ensemble.descriptions)
    validation = learned.part("val")
    check_classes(np.array([record.covid for record in validation], dtype=bool))
    model = build_model(ensemble, flip=chosen.flip, stored=chosen.stored)
    card = _fitted_card(model, learned, identity, chosen, stage)
    return write_bundle(
        target,
        model.content,
        card,
        measure=lambda folder: validation_metrics(folder, validation, stage),
        force=chosen.force,
    )


def _fitted_card(
    model: Model, manifest: Manifest, identity: Identity, options: Options, stage: Stage
) -> Card:
    graph = Graph(content=model.content, size=model.ensemble.size, frame=model.ensemble.frame)
    fast = _fast_engine(model.content) if options.precision == "auto" else None
    found = fit_graph(graph, manifest, stage=stage, other=fast)
    guard = guard_of(graph, manifest, found.images, decoys=options.decoys, stage=stage)
    precision = safe_precision(found.judged, found.fitted)
    card = make_card(model, identity, found.fitted, guard.to_json(), precision)
    # the hash shows that it is the manifest of the training, whose sources a run need not name
    sources = list(manifest.sources) if hash_records(manifest) == card.data_hash else []
    return replace(card, training={**card.training, "sources": sources})


def _fast_engine(content: bytes) -> Engine | None:
    """A bfloat16 engine where this processor has bfloat16."""
    core = engines.openvino_silent().Core()
    if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return None
    return open_engine(DEFAULT_ENGINE, content, "bfloat16")


# ------------------------------------------------------------------ model


def read_ensemble(folders: Sequence[Path]) -> Ensemble:
    """Read checkpoints that belong together.

    Raises:
        ConfigError: none, or members of different modes, or of frames that no frame joins.
        WeightsError: a checkpoint that cannot be read.
    """
    if not folders:
        raise ConfigError("there is no checkpoint to export: give at least one folder")
    read = [read_checkpoint(folder) for folder in folders]
    descriptions = tuple(description for description, _ in read)
    modes, frames = ([getattr(d, key) for d in descriptions] for key in ("mode", "frame"))
    frame = joint_frame(frames)
    if frame is None or len(set(modes)) > 1:
        what, values = ("frame", frames) if frame is None else ("mode", modes)
        given = ", ".join(dict.fromkeys(values))
        raise ConfigError(f"the checkpoints differ in {what} ({given}): export those that agree")
    return Ensemble(
        descriptions=descriptions,
        nets=tuple(net for _, net in read),
        hashes=tuple(weights_sha256(folder) for folder in folders),
        frame=frame,
    )


def build_model(
    ensemble: Ensemble, *, flip: bool = False, stored: Stored = Stored.FLOAT32
) -> Model:
    """One graph of all members, as ONNX, proven on phantoms.

    Args:
        ensemble: of trained networks.
        flip: add the mirrored view of each image.
        stored: what weights are rounded to; the arithmetic stays float32.

    Raises:
        BundleError: when torch and a runtime disagree.
        WeightsError: weights beyond the range of float16.
    """
    size, frame = ensemble.size, ensemble.frame
    graph = BundleGraph(ensemble.nets, flip=flip, stored=stored)
    frames = phantom_frames(size, frame)
    content = to_onnx(graph, input_shape(size, frame))
    agreement = prove(graph, content, frames)
    if stored != Stored.FLOAT32:
        agreement["rounding_probability"] = rounding(
            BundleGraph(ensemble.nets, flip=flip), graph, frames
        )
    return Model(content=content, ensemble=ensemble, flip=flip, stored=stored, agreement=agreement)


# ------------------------------------------------------------------ card and folder


def make_card(
    model: Model, identity: Identity, fitted: Fitted, guard: Mapping[str, Any], precision: str
) -> Card:
    """The card of a proven model, without metrics; `replace` adds those."""
    ensemble, descriptions = model.ensemble, model.ensemble.descriptions
    return Card(
        name=identity.name,
        version=identity.version,
        backbone="+".join(dict.fromkeys(item.backbone for item in descriptions)),
        mode=ensemble.mode,
        input_size=ensemble.size,
        preprocessing=ensemble.frame,
        classes=OUTPUTS if ensemble.mode == "ladnn" else OUTPUTS[:1],
        members=tuple(
            Member(backbone=d.backbone, seed=d.seed, epoch=d.epoch, checkpoint_sha256=sha256)
            for d, sha256 in zip(descriptions, ensemble.hashes, strict=True)
        ),
        combination=combination(len(descriptions), flip=model.flip),
        temperature=fitted.temperature,
        lesions=fitted.lesions,
        operating_points=fitted.operating_points,
        guard=guard,
        study_rule=fitted.study_rule,
        precision=precision,
        training=_training(model),
        data_hash=_data_hash(descriptions),
        metrics={},
        sha256=hashlib.sha256(model.content).hexdigest(),
        licence=identity.licence,
        intended_use=identity.intended_use,
    )


def _training(model: Model) -> dict[str, Any]:
    return {
        "members": [
            {"config": dict(item.config), "validation": dict(item.validation)}
            for item in model.ensemble.descriptions
        ],
        "flip_averaging": model.flip,
        "stored_weights": model.stored.value,
        "agreement": model.agreement,
    }


def _data_hash(descriptions: Sequence[Checkpoint]) -> str:
    """The manifest's, when all members share one; else one hash over theirs."""
    hashes = sorted({item.data_hash for item in descriptions})
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def write_bundle(
    folder: Path,
    content: bytes,
    card: Card,
    *,
    measure: Callable[[Path], dict[str, Any]] | None = None,
    force: bool = False,
) -> Card:
    """Write model.onnx and card.json so that the folder is there whole or not at all.

    Args:
        folder: of the bundle; its parent is made when missing.
        content: of model.onnx, proven.
        card: of it.
        measure: takes the finished bundle and returns the card's metrics.
        force: replace an older bundle.

    Raises:
        BundleError: when the folder holds something that is not to be replaced, or the place
            cannot be written to.
    """
    check_target(folder, force=force)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _clear_killed(folder.parent)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=_UNFINISHED) as scratch:
            staged = Path(scratch) / "bundle"
            staged.mkdir()
            (staged / MODEL_FILE).write_bytes(content)
            write_card(card, staged)
            if measure is not None:
                card = replace(card, metrics=measure(staged))
                write_card(card, staged)
            put_folder(staged, folder, Path(scratch) / _OLD, names=(CARD_FILE, MODEL_FILE))
    except OSError as error:
        raise BundleError(
            f"the bundle cannot be written to {folder} ({error.strerror}): "
            f"give a folder that you may write to"
        ) from error
    return card


def _clear_killed(place: Path) -> None:
    """Delete what exports that were killed left there; a younger one may be at work.

    One that was killed while it replaced a bundle keeps the older one, which is not ours to delete.
    """
    for path in place.glob(f"{_UNFINISHED}*"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < time.time() - _AT_WORK and not (path / _OLD).exists():
                shutil.rmtree(path)


def check_target(folder: Path, *, force: bool) -> None:
    """Refuse a folder that holds anything but, with `force`, an older bundle, or cannot be put.

    Raises BundleError for such a folder, and DataError where nothing may be written beside it.
    """
    require_writable(folder.parent)
    if folder.is_mount():
        raise BundleError(f"a disk is mounted at {folder}: give a folder within it")
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not folder.is_dir() or not (folder / CARD_FILE).is_file():
        raise BundleError(f"{folder} is there and is no bundle: give another folder")
    if not force:
        raise BundleError(f"{folder} holds a bundle: give another folder, or --force to replace it")
