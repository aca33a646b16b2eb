"""The authors' training loop as a reference: every image decoded and augmented when its turn comes.

Plain torch in float32 with torchvision's transforms of `conf/paper.toml`: 224 pixels in RGB, shear,
scale, left-right flip; Adam; five times the cross-entropy of COVID-19 plus that of the lesions,
which count where there are any.
"""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from ladnn.dataset import Record
from ladnn.model import LesionNet

Sample = tuple[Tensor, Tensor, Tensor]


class Images(Dataset[Sample]):
    """Images in [0, 1] with their labels, read from disk one by one."""

    def __init__(self, records: Sequence[Record], size: int) -> None:
        self.records = records
        self.transform = transforms.Compose(
            [
                transforms.Resize((size, size)),
                transforms.RandomAffine(0, shear=11.5, scale=(0.8, 1.2)),  # degrees: tan = .2
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Sample:
        record = self.records[index]
        image: Tensor = self.transform(Image.open(record.path).convert("RGB"))
        lesions = np.array(record.lesions.values, dtype=np.float32)
        return image, torch.tensor(float(record.covid)), torch.from_numpy(lesions)


class Loop:
    """One network in training."""

    def __init__(self, backbone: str, records: Sequence[Record], *, batch: int, size: int) -> None:
        self.net = LesionNet(backbone, weights="random", input_size=size)
        self.images = DataLoader(Images(records, size), batch_size=batch, shuffle=True)
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=5e-5, weight_decay=5e-4)

    def run_epoch(self) -> None:
        """Show every image once."""
        self.net.train()
        for images, covid, lesions in self.images:
            self.optimiser.zero_grad()
            loss = joint(self.net(images), covid, lesions)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()
            loss.item()  # they print it


def joint(logits: Tensor, covid: Tensor, lesions: Tensor) -> Tensor:
    """Five times the primary branch's loss plus the lesions' of images that have any."""
    primary = functional.binary_cross_entropy_with_logits(logits[:, 0], covid)
    shown = lesions.any(dim=1)
    if not bool(shown.any()):
        return 5 * primary
    loss: nn.Module = nn.BCEWithLogitsLoss()
    total: Tensor = 5 * primary + loss(logits[shown, 1:], lesions[shown])
    return total
