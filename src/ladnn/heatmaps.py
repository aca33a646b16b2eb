"""The maps of many images as one file, maps.npz: float16, read without pickle."""

import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ladnn.errors import DataError

MAPS = "maps.npz"

_AGAIN = "run ladnn evaluate --maps --force again"


@dataclass(frozen=True, kw_only=True)
class Heatmaps:
    """Where a model looked in each of N images.

    Attributes:
        paths: of the images.
        values: float16[N, K, h, w] in [0, 1], in the order of the model's classes, the peak of
            each its probability.
        boxes: float32[N, 4], the part of the image that the maps lie over: x0, y0, x1, y1 as
            fractions of it.
    """

    paths: tuple[str, ...]
    values: NDArray[np.float16]
    boxes: NDArray[np.float32]

    def to_bytes(self) -> bytes:
        """The content of maps.npz; the same maps give the same bytes."""
        buffer = io.BytesIO()
        paths = np.array(self.paths, dtype=np.str_)
        np.savez_compressed(buffer, paths=paths, values=self.values, boxes=self.boxes)
        return buffer.getvalue()


_DAMAGED = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,  # a way to pack that zipfile does not know
    RuntimeError,  # it asks for a password
)


def read_heatmaps(folder: Path, paths: tuple[str, ...]) -> Heatmaps:
    """The maps in a result's folder.

    Args:
        folder: that `ladnn evaluate --maps` wrote.
        paths: of the images that its predictions are of.

    Raises:
        DataError: when there are none, when they are damaged, or of other images.
    """
    file = folder / MAPS
    try:
        with np.load(file, allow_pickle=False) as held:
            values, boxes = held["values"], held["boxes"]
            found = Heatmaps(paths=tuple(held["paths"].tolist()), values=values, boxes=boxes)
    except FileNotFoundError as error:
        raise DataError(f"{folder} holds no maps: {_AGAIN}") from error
    except _DAMAGED as error:
        raise DataError(f"{file} is cut off or holds no maps: {_AGAIN}") from error
    if found.paths != paths or values.ndim != 4 or boxes.shape != (len(paths), 4):
        raise DataError(f"{file} is not of the images in the predictions beside it: {_AGAIN}")
    return found
