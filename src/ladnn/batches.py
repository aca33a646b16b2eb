"""Records of a manifest -> batches for training: decoded once, augmented ahead in threads.

Each image of each epoch has a random generator of its own, so the batches are the same however
many threads draw them and wherever a run was interrupted.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ladnn.augmentation import Augmentation, augment
from ladnn.dataset import Record, require_listed
from ladnn.errors import DataError
from ladnn.findings import LESIONS
from ladnn.imaging import CtImage
from ladnn.lungfield import FRAMES, LungField, locate, planes, squares

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

_KEPT_SIDE = 512  # pixels of the longer side kept in memory: twice what any network here sees
_AHEAD = 2  # batches drawn before they are asked for


@dataclass(frozen=True, kw_only=True)
class Example:
    """One decoded image in the planes of its frame, and what is known of it.

    Attributes:
        planes: of `lungfield.planes`; training shows the first.
        lesions: 1, 0 or NaN, float [5].
    """

    planes: Sequence[tuple[Pixels, LungField]]
    covid: float
    lesions: Floats
    source: str


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Images with labels of COVID-19, float [N], and of the lesions, float [N, 5].

    The images are uint8 [N, S, S] for training, and as `lungfield.model_input` makes them as seen.
    """

    images: Pixels
    covid: Floats
    lesions: Floats


def load(
    records: Sequence[Record],
    read: Callable[[Path], CtImage],
    *,
    frame: str = FRAMES[0],
    advance: Callable[[], None] = lambda: None,
) -> list[Example]:
    """Decode the images of `records`, reduced to what training needs, and find their lungs.

    Raises:
        DataError: no records, and a file that is not the one of its record.
        ImageError: an image that cannot be read.
    """
    if not records:
        raise DataError("no image is left to train on: check the manifest's splits and sources")
    examples = []
    for record in records:
        image = read(record.path)
        require_listed(record, image.sha256)
        examples.append(_example(record, image.pixels, frame))
        advance()
    return examples


def _example(record: Record, pixels: Pixels, frame: str) -> Example:
    scale = _KEPT_SIDE / max(pixels.shape)
    if scale < 1:
        size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
    known = [np.nan if value is None else float(value) for value in record.lesions.values]
    return Example(
        planes=planes(pixels, locate(pixels, frame), frame),
        covid=float(record.covid),
        lesions=np.array(known, dtype=np.float32),
        source=record.source,
    )


def as_seen(examples: Sequence[Example], size: int) -> Batch:
    """The examples without augmentation, in one batch: nearly what serving sees.

    Serving reduces an image once, and these were reduced to what training keeps before: of images
    larger than that, grey levels differ by one or two.
    """
    return Batch(
        images=np.stack([squares(item.planes, size) for item in examples]),
        covid=np.array([item.covid for item in examples], dtype=np.float32),
        lesions=np.stack([item.lesions for item in examples]).reshape(-1, len(LESIONS)),
    )


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """Which images an epoch shows.

    Attributes:
        images: per epoch; 0 is as many as there are.
        balanced: draw every class of every source equally often within the source, so that
            neither class nor prevalence tells the source.
        source_power: the weight of each class of a source is the source's number of images to
            this power: 1 leaves sources as they are, 0 shows each equally often. A source of one
            class alone so weighs half of one that has both.
    """

    images: int = 0
    balanced: bool = True
    source_power: float = 0.5


def epoch_order(
    examples: Sequence[Example], sampler: Sampler, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Indices of the examples in the order of one epoch."""
    count = sampler.images or len(examples)
    if not sampler.balanced:
        shuffled = [rng.permutation(len(examples)) for _ in range(-(-count // len(examples)))]
        return np.concatenate(shuffled)[:count]
    return rng.choice(len(examples), size=count, p=_weights(examples, sampler.source_power))


def _weights(examples: Sequence[Example], power: float) -> NDArray[np.float64]:
    groups: dict[tuple[str, float], list[int]] = defaultdict(list)
    sources: dict[str, int] = defaultdict(int)
    for index, item in enumerate(examples):
        groups[item.source, item.covid].append(index)
        sources[item.source] += 1
    weights = np.zeros(len(examples))
    for (source, _), members in groups.items():
        weights[members] = sources[source] ** power / len(members)
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares


def batches(
    examples: Sequence[Example],
    order: NDArray[np.intp],
    *,
    batch_size: int,
    image_size: int,
    how: Augmentation,
    seed: tuple[int, ...],
) -> Iterator[Batch]:
    """Augmented batches in `order`; a last, shorter one is dropped for batch norm's sake."""

    def draw(start: int) -> Batch:
        chosen = order[start : start + batch_size]
        views = [
            _view(examples[index], image_size, how, np.random.default_rng((*seed, start + i)))
            for i, index in enumerate(chosen)
        ]
        images, covid, lesions = zip(*views, strict=True)
        return Batch(
            images=np.stack(images),
            covid=np.array(covid, dtype=np.float32),
            lesions=np.stack(lesions),
        )

    starts = range(0, len(order) - batch_size + 1, batch_size)
    with ThreadPoolExecutor(max_workers=_AHEAD) as pool:
        waiting: list[Future[Batch]] = []
        for start in starts:
            waiting.append(pool.submit(draw, start))
            if len(waiting) > _AHEAD:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()


def _view(
    item: Example, size: int, how: Augmentation, rng: np.random.Generator
) -> tuple[Pixels, float, Floats]:
    """One augmented image with its labels; a painted opacity makes a negative image positive."""
    image, painted = augment(*item.planes[0], size, how, rng, healthy=item.covid == 0)
    if painted is None:
        return image, item.covid, item.lesions
    lesions = np.full(len(LESIONS), np.nan, dtype=np.float32)
    lesions[LESIONS.index(painted)] = 1.0
    return image, 1.0, lesions
