"""Seeded drawings of things that are no axial chest CT, to fit and to test the guard.

Nothing is copied from any collection. Each kind is one function of a generator and a size;
`draw` varies its size, contrast and framing. Learning side only.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from ladnn.decoys import pictures, scans
from ladnn.decoys.canvas import Grey, Rng, Size, fractal, to_grey, vary
from ladnn.errors import ConfigError

KINDS: Mapping[str, Callable[[Rng, Size], Grey]] = MappingProxyType(
    {
        "blank": pictures.blank,
        "ramp": pictures.ramp,
        "noise": pictures.noise,
        "clouds": pictures.clouds,
        "pattern": pictures.pattern,
        "colour_chart": pictures.colour_chart,
        "text_page": pictures.text_page,
        "screenshot": pictures.screenshot,
        "plot": pictures.plot,
        "cartoon": pictures.cartoon,
        "diagram": pictures.diagram,
        "code_print": pictures.code_print,
        "objects": pictures.objects,
        "landscape": pictures.landscape,
        "portrait": pictures.portrait,
        "silhouette": pictures.silhouette,
        "emblem": pictures.emblem,
        "night_sky": pictures.night_sky,
        "discs": pictures.discs,
        "histology": pictures.histology,
        "weave": pictures.weave,
        "ct_head": scans.ct_head,
        "ct_skull_base": scans.ct_skull_base,
        "ct_abdomen": scans.ct_abdomen,
        "ct_pelvis": scans.ct_pelvis,
        "ct_limbs": scans.ct_limbs,
        "ct_neck": scans.ct_neck,
        "xray_chest": scans.xray_chest,
        "xray_close": scans.xray_close,
        "xray_lateral": scans.xray_lateral,
        "xray_bones": scans.xray_bones,
        "xray_belly": scans.xray_belly,
        "mr_brain": scans.mr_brain,
        "mr_abdomen": scans.mr_abdomen,
        "mr_body": scans.mr_body,
        "ultrasound": scans.ultrasound,
        "retina": scans.retina,
        "dose_map": scans.dose_map,
        "scout": scans.scout,
    }
)
"""Every kind by name; leave-kind-out runs over these."""


def draw(kind: str, seed: int) -> Grey:
    """One drawing of a kind, uint8 [H, W] with sides of 120 to 420 pixels; the same seed, the same.

    Raises:
        ConfigError: an unknown kind.
    """
    if kind not in KINDS:
        raise ConfigError(f"unknown kind of decoy {kind!r}: choose among {', '.join(KINDS)}")
    rng = np.random.default_rng([seed, *kind.encode()])  # by name: a new kind moves no other
    long = int(rng.integers(180, 420))
    short = max(120, int(long * rng.choice([1.0, 1.0, rng.uniform(0.6, 1.0)])))
    size = (long, short) if rng.random() < 0.4 else (short, long)
    return vary(rng, KINDS[kind](rng, size))


def without_lungs(pixels: Grey, lungs: NDArray[np.bool_], seed: int) -> Grey:
    """A chest CT whose lungs are filled with soft tissue, and at times a little bowel gas.

    It keeps everything by which one scanner's CT differs from a drawing, so it teaches that a
    chest needs lungs. uint8 [H, W] and the lungs' mask [h, w], of any size -> uint8 [H, W].
    """
    rng = np.random.default_rng(seed)
    size = pixels.shape[0], pixels.shape[1]
    around = ndimage.binary_dilation(lungs, iterations=max(2, max(lungs.shape) // 60))
    mask = Image.fromarray(ndimage.binary_closing(around, iterations=4))
    share = np.asarray(mask.convert("L").resize((size[1], size[0])), dtype=np.float32) / 255
    share = ndimage.gaussian_filter(share, max(size) / 150)
    bright = pixels[(share < 0.1) & (pixels > pixels.mean())]
    level = float(np.median(bright)) if bright.size else 200.0
    grain = rng.uniform(0, 4) * rng.standard_normal(size)
    tissue = level + rng.uniform(0, 10) * fractal(rng, size, rng.uniform(1, 2)) + grain
    if rng.random() < 0.4:
        gas = fractal(rng, size, 2.0) > rng.uniform(1.5, 2.5)
        tissue = np.where(gas, np.quantile(pixels, 0.05), tissue)
    return to_grey(ndimage.gaussian_filter(tissue, 0.7) * share + pixels * (1 - share), 0, 255)


def detail(pixels: Grey, seed: int) -> Grey:
    """A close-up of a chest CT (a vertebra, the heart, a vessel) that shows no whole lung.

    uint8 [H, W] -> uint8 [H', W'], sides of a seventh to a third of the image's.
    """
    rng = np.random.default_rng(seed)
    height, width = pixels.shape
    share = rng.uniform(1 / 7, 1 / 3)
    tall, wide = max(8, int(height * share)), max(8, int(width * share))
    top = int(rng.uniform(0.15, 0.85) * (height - tall))
    left = int(rng.uniform(0.15, 0.85) * (width - wide))
    cut = Image.fromarray(np.ascontiguousarray(pixels[top : top + tall, left : left + wide]))
    cut = cut.resize((wide * 4, tall * 4), Image.Resampling.BICUBIC)
    return vary(rng, np.asarray(cut))


def scramble(pixels: Grey, seed: int) -> Grey:
    """A CT image with its grey values or its spectrum but not its anatomy, uint8 [H, W].

    Tiles in another order, or the amplitudes of its frequencies with random phases.
    """
    rng = np.random.default_rng(seed)
    height, width = pixels.shape
    if rng.random() < 0.5:
        amplitude = np.abs(np.fft.rfft2(pixels.astype(np.float32)))
        phase = np.angle(np.fft.rfft2(fractal(rng, (height, width), 0.0)))
        mixed = np.fft.irfft2(amplitude * np.exp(1j * phase), s=(height, width))
        return to_grey(mixed, *np.quantile(mixed, [0.01, 0.99]).tolist())
    side = int(rng.integers(3, 9))
    tile = max(1, height // side), max(1, width // side)
    cut = pixels[: tile[0] * side, : tile[1] * side]
    tiles = cut.reshape(side, tile[0], side, tile[1]).swapaxes(1, 2).reshape(-1, *tile)
    mosaic = tiles[rng.permutation(len(tiles))].reshape(side, side, *tile)
    return np.ascontiguousarray(mosaic.swapaxes(1, 2).reshape(cut.shape))
