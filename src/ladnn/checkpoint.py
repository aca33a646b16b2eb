"""The checkpoint, a folder with model.safetensors and checkpoint.json: what training leaves.

A person can read the JSON without torch: which network, trained how, on what, and how well.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_origin

from ladnn.dataset import Manifest
from ladnn.errors import DataError, WeightsError
from ladnn.lungfield import FRAMES
from ladnn.model import LesionNet, load_weights
from ladnn.paths import put_together
from ladnn.ranges import TRAINING
from ladnn.weights import CHECKPOINT_FILE

DESCRIPTION_FILE = "checkpoint.json"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What a checkpoint says of itself.

    Attributes:
        backbone, mode, input_size, haze: of the network. frame: of what it sees.
        epoch, seed: of the run that made it.
        data_hash: sha256 of the training manifest.
        config: of the run, resolved.
        validation: metrics of the epoch that was chosen.
    """

    backbone: str
    mode: str
    input_size: int
    frame: str = FRAMES[0]
    haze: bool = False
    epoch: int = 0
    seed: int = 0
    data_hash: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    validation: Mapping[str, Any] = field(default_factory=dict)


def write_checkpoint(folder: Path, net: LesionNet, description: Checkpoint) -> None:
    """Write both files; a description is there only beside the weights that it describes.

    Raises:
        DataError: when the folder cannot be written to.
    """
    from safetensors.torch import save

    tensors = {key: value.contiguous() for key, value in net.state_dict().items()}
    text = json.dumps(asdict(description), indent=2, ensure_ascii=False) + "\n"
    files: dict[Path, str | bytes] = {
        folder / CHECKPOINT_FILE: save(tensors),
        folder / DESCRIPTION_FILE: text,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        put_together(files, folder / DESCRIPTION_FILE)
    except OSError as error:
        raise DataError(
            f"the checkpoint cannot be written to {folder} ({error.strerror}): "
            f"make room there, or give a folder that you may write to"
        ) from error


def read_description(folder: Path) -> Checkpoint:
    """What `write_checkpoint` wrote beside the weights.

    Raises:
        WeightsError: no checkpoint of ours, or one of a newer version.
    """
    path = folder / DESCRIPTION_FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        known = {item.name for item in fields(Checkpoint)}
        read = Checkpoint(**{key: value for key, value in data.items() if key in known})
        _check_values(read)
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        why = getattr(error, "strerror", None) or "it is not what training writes"
        raise WeightsError(
            f"{folder} is no checkpoint ({DESCRIPTION_FILE} cannot be read: {why}): "
            "give a folder written by `ladnn train`"
        ) from error
    if read.frame not in FRAMES:
        raise WeightsError(
            f"the frame {read.frame!r} of {path} is not known: expected one of "
            f"{', '.join(FRAMES)}; install the ladnn that wrote the checkpoint"
        )
    return read


def _check_values(read: Checkpoint) -> None:
    """Raise TypeError for a value of a wrong kind, ValueError for a size that no network has."""
    for item in fields(read):
        value = getattr(read, item.name)
        kind: Any = get_origin(item.type) or item.type
        # whose kind is checked strictly: to Python, true is a whole number
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise TypeError(f"{item.name} is {value!r}")
    if not read.input_size or read.input_size not in TRAINING["input_size"]:
        raise ValueError(f"input_size is {read.input_size}")


def read_checkpoint(folder: Path) -> tuple[Checkpoint, LesionNet]:
    """The description and the network in evaluation mode.

    Raises:
        WeightsError: as `read_description`, and for weights that do not fit it.
    """
    description = read_description(folder)
    net = LesionNet(
        description.backbone,
        description.mode,  # type: ignore[arg-type]  # LesionNet refuses another mode
        input_size=description.input_size,
        haze=description.haze,
    )
    load_weights(net, folder)
    return description, net.eval()


def learned_part(manifest: Manifest, descriptions: Sequence[Checkpoint]) -> Manifest:
    """The train and val records of the sources that checkpoints were trained on.

    Those of every source where one of them took all that its manifest had.

    Raises:
        DataError: when the manifest validates on none of these sources.
    """
    limits = [item.config.get("sources") or () for item in descriptions]
    wanted = {name for limit in limits for name in limit} if all(limits) else {*manifest.sources}
    kept = tuple(r for r in manifest if r.source in wanted and r.split in ("train", "val"))
    if not any(record.split == "val" for record in kept):
        raise DataError(
            f"the manifest's validation split holds no image of {', '.join(sorted(wanted))}, which "
            "the checkpoints were trained on: give the manifest of their training"
        )
    return Manifest(records=kept, labels=manifest.labels)


def weights_sha256(folder: Path) -> str:
    """The sha256 of the weights file of a checkpoint."""
    return hashlib.sha256((folder / CHECKPOINT_FILE).read_bytes()).hexdigest()
