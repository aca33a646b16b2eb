"""Bundles to measure: the shipped one, and backbones with random weights, which run as fast."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ladnn import guard
from ladnn.backbones import backbone
from ladnn.bundle import (
    MODEL_FILE,
    Bundle,
    Card,
    LesionCalibration,
    Member,
    OperatingPoint,
    StudyRule,
    load_bundle,
    shipped,
    write_card,
)
from ladnn.conversion import to_onnx
from ladnn.findings import LESIONS, OUTPUTS
from ladnn.graph import BundleGraph, combination
from ladnn.lungfield import FRAMES, model_input
from ladnn.model import LesionNet

DEFAULT = "default"


@dataclass(frozen=True, kw_only=True)
class Studio:
    """Makes each bundle once, in a folder that lives as long as the run.

    Attributes:
        folder: of the bundles with random weights.
        input_size: of them; None is each backbone's own.
    """

    folder: Path
    input_size: int | None = None

    def size(self, name: str) -> int:
        """Side of that backbone's input in pixels."""
        return self.input_size or backbone(name).input_size

    def net(self, name: str, size: int) -> LesionNet:
        """The network with the seeded random weights that `random` exports."""
        torch.manual_seed(0)
        return LesionNet(name, weights="random", input_size=size).eval()

    def random(self, name: str) -> Bundle:
        """A bundle of one member with random weights."""
        folder = self.folder / name
        if not folder.exists():
            size = self.size(name)
            model = to_onnx(BundleGraph([self.net(name, size)]), (size, size))
            folder.mkdir(parents=True)
            (folder / MODEL_FILE).write_bytes(model)
            write_card(_card(name, size, model), folder)
        return load_bundle(folder)

    def main(self) -> tuple[Bundle, str]:
        """The shipped default and a note on it; a random one where none ships yet."""
        if DEFAULT in shipped():
            bundle = load_bundle(DEFAULT)
            return bundle, f"{DEFAULT}: {views(bundle.card)} forward passes, {bundle.card.backbone}"
        bundle = self.random("efficientnet_lite0")
        return bundle, "no default ships yet: one efficientnet_lite0 with random weights instead"


def views(card: Card) -> int:
    """Forward passes of a backbone that one answer takes: members, times two if mirrored."""
    return len(card.members) * (2 if card.training.get("flip_averaging") else 1)


def _card(name: str, size: int, model: bytes) -> Card:
    half = OperatingPoint(threshold=0.5, low=0.5, high=0.5)
    unknown = LesionCalibration(temperature=None, calibrated=False, validation_positives=0)
    return Card(
        name=f"random-{name}",
        version="0",
        backbone=name,
        mode="ladnn",
        input_size=size,
        preprocessing=FRAMES[0],
        classes=OUTPUTS,
        members=(Member(backbone=name, seed=0, epoch=0),),
        combination=combination(1, flip=False),
        temperature=1.0,
        lesions={str(lesion): unknown for lesion in LESIONS},
        operating_points={"balanced": half},
        guard=_open_guard(backbone(name).embedding).to_json(),
        study_rule=StudyRule(),
        training={},
        data_hash="",
        metrics={},
        sha256=hashlib.sha256(model).hexdigest(),
        licence="Apache-2.0",
        intended_use="To be measured; its weights are random.",
    )


def _open_guard(channels: int) -> guard.Guard:
    """A guard of the usual size that lets everything through."""
    blank = np.zeros((64, 64), dtype=np.uint8)
    count = guard.features(blank, *model_input(blank, 64)).size
    axes = min(32, count)
    return guard.Guard(
        mean=np.zeros(count + channels, dtype=np.float32),
        scale=np.ones(count + channels, dtype=np.float32),
        weights=np.zeros(count + channels, dtype=np.float32),
        axes=np.zeros((axes, count), dtype=np.float16),
        spread=np.ones(axes, dtype=np.float32),
        rest=1.0,
        linear=(0.0, 1.0),
        distance=(0.0, 1e6),
        cut=-50.0,
    )
