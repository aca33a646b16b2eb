"""Where the lungs lie in what the network sees, by thresholding and morphology (scikit-image)."""

import numpy as np
from numpy.typing import NDArray

from ladnn.lungfield import TISSUE_LEVEL

Mask = NDArray[np.bool_]
Pixels = NDArray[np.uint8]

_OPENING = 0.01  # of the side: cuts threads of air between the lungs and the outside
_CORNER = 0.04  # of the side: air that reaches a corner of the frame is outside the body
_SMALLEST = 0.015  # share of the frame of one lung; the trachea and bowel gas are smaller
_MOST_BORDER = 0.12  # share of the frame's edge that lungs cut by a tight crop may touch
_MARGIN = 0.06  # of the side, around what is blanked: opacities at the pleura lie outside the mask
_LEAST, _MOST = 0.08, 0.9  # share of the frame outside of which a find is not believed
BORDER = 0.1
"""Share of the side that each edge of the frame keeps when only the border is kept."""


def lung_mask(square: Pixels) -> Mask | None:
    """The lungs in a network's input, uint8 [S, S] -> bool [S, S]; None where they are not found.

    Otsu's threshold, opened; the regions that lie inside the body, each with its convex hull, so
    that vessels and opacities are inside. A lung that is solid from end to end is missed, as by
    any threshold.
    """
    from skimage.filters import threshold_otsu
    from skimage.measure import label
    from skimage.morphology import convex_hull_object, isotropic_opening

    if square.min() == square.max():
        return None
    side = square.shape[0]
    regions = label(isotropic_opening(square <= threshold_otsu(square), _OPENING * side))
    air = np.isin(regions, _inside_body(regions))
    mask: Mask = np.asarray(convex_hull_object(air), dtype=bool)
    return mask if _LEAST <= mask.mean() <= _MOST else None


def _inside_body(regions: NDArray[np.intp]) -> list[int]:
    """The numbers of the regions that the body encloses and that are large enough for a lung."""
    patch = max(1, round(_CORNER * regions.shape[0]))
    first, last = slice(None, patch), slice(-patch, None)
    corners = [regions[a, b] for a in (first, last) for b in (first, last)]
    outside = np.unique(np.concatenate([corner.ravel() for corner in corners]))
    edge = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    areas = np.bincount(regions.ravel()) / regions.size
    touching = np.bincount(edge, minlength=len(areas)) / edge.size
    good = (areas >= _SMALLEST) & (touching <= _MOST_BORDER)
    return [number for number in np.flatnonzero(good).tolist() if number and number not in outside]


def without_lungs(square: Pixels, mask: Mask) -> Pixels:
    """The input with the lungs, and all that lies between them, at the grey of tissue around."""
    hidden = _hidden(square, mask)
    return np.where(hidden, _tissue(square, hidden), square)


def border_alone(square: Pixels, mask: Mask) -> Pixels:
    """`without_lungs`, and all but the border of the frame at that grey too.

    The frame is cropped to the lungs, so its border alone would still show the rim of them.
    """
    edge, hidden = round(BORDER * square.shape[0]), _hidden(square, mask)
    shown = hidden.copy()
    shown[edge:-edge, edge:-edge] = True
    return np.where(shown, _tissue(square, hidden), square)


def _hidden(square: Pixels, mask: Mask) -> Mask:
    from skimage.morphology import convex_hull_image, isotropic_dilation

    return np.asarray(isotropic_dilation(convex_hull_image(mask), _MARGIN * square.shape[0]))


def _tissue(square: Pixels, hidden: Mask) -> np.uint8:
    """The grey of what is not air around the lungs: a frame may keep the grey of its image."""
    from skimage.filters import threshold_otsu

    around = square[~hidden & (square > threshold_otsu(square))]
    return np.uint8(np.median(around) if around.size else TISSUE_LEVEL)
