"""Networks that have learned to tell phantoms, and manifests of phantoms."""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ladnn.backbones import BACKBONES
from ladnn.checkpoint import Checkpoint, write_checkpoint
from ladnn.dataset import Manifest, Record
from ladnn.findings import LESIONS, LesionLabels
from ladnn.imaging import read_image
from ladnn.lungfield import model_input
from ladnn.model import LesionNet
from synthetic import thorax

SPREAD = 2.0
"""Standard deviation of the logits of a trained head over the images it was trained on."""


@cache
def phantoms(count: int, size: int) -> np.ndarray:
    """What a network sees of phantoms with one lesion each, and of healthy ones."""
    kinds = (*LESIONS, None)
    drawn = [
        thorax(seed, lesions=() if (kind := kinds[seed % 6]) is None else (kind,))
        for seed in range(count)
    ]
    return np.stack([model_input(pixels, size)[0] for pixels in drawn])


def train_head(net: LesionNet, frames: np.ndarray) -> None:
    """Ridge regression of drawn lesions on the embedding: a head that has learned something."""
    with torch.inference_mode():
        grey = torch.from_numpy(frames)[:, None].float() / 255
        seen = torch.cat([net.pool(net.features(one[None])) for one in grey]).double()
    kinds = torch.arange(len(frames)) % 6
    labels = torch.stack([(kinds < 5).double(), *[(kinds == k).double() for k in range(5)]], 1)
    labels = labels[:, : net.head.out_features] - 0.5
    mean, deviation = seen.mean(0), seen.std(0) + 1e-3 * seen.std()
    rows = (seen - mean) / deviation
    gram = rows @ rows.T + 0.1 * rows.shape[1] * torch.eye(len(rows), dtype=torch.double)
    weight = (rows.T @ torch.linalg.solve(gram, labels)) / deviation[:, None]
    weight = weight * SPREAD / (seen @ weight).std(0)
    with torch.no_grad():
        net.head.weight.copy_(weight.T)
        net.head.bias.copy_(-(mean @ weight))


def network(
    name: str,
    mode: str = "ladnn",
    seed: int = 0,
    size: int | None = None,
    last_norms: float = 0.0,
) -> LesionNet:
    """A network with a trained head; those whose weights are installed start from them.

    timm starts the last norm of each block of a ResNet at naught, which hides the block:
    `last_norms` sets those of a ResNet-18.
    """
    torch.manual_seed(seed)
    weights = BACKBONES[name].weights if "lite" in name or name == "resnet_ct" else "random"
    net = LesionNet(name, mode, weights=weights, input_size=size).eval()
    for part, module in net.named_modules() if last_norms else ():
        if part.endswith("bn2"):
            torch.nn.init.constant_(module.weight, last_norms)
    train_head(net, phantoms(12, net.input_size))
    return net


def drawn(folder: Path, count: int, *, splits: tuple[str, ...]) -> Manifest:
    """Phantoms in files, each second one with a lesion; they take turns in the splits."""
    records = []
    for number in range(count):
        present = {LESIONS[number % 5]} if number % 2 else set()
        path = folder / f"{number}.png"
        Image.fromarray(thorax(number, lesions=present)).save(path)
        records.append(
            Record(
                path=path,
                sha256=read_image(path).sha256,
                source="phantoms",
                patient=f"p{number}",
                covid=bool(present),
                lesions=LesionLabels.from_present(present),
                split=splits[number % len(splits)],
            )
        )
    return Manifest(records=tuple(records), labels="drawn")


def put_checkpoint(folder: Path, net: LesionNet, **changes: object) -> Path:
    """Write the network as a training run would, and return its folder."""
    values = {"backbone": net.name, "mode": net.mode, "input_size": net.input_size}
    values |= {"seed": 3, "epoch": 5, "data_hash": "ab", "config": {"epochs": 9}}
    write_checkpoint(folder, net, Checkpoint(**(values | changes)))
    return folder
