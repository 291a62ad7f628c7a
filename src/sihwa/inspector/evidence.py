"""Where the network looked: as a box in the image, and drawn over it.

Axes: h and w evidence-map size, H and W image size in pixels.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sihwa.errors import ShapeError

STRONGEST_TINT = 0.75
OUTLINE = (255, 0, 200)
"""A colour that metal, cells and fabric do not have."""
_HALF = 0.5
# Five stops of matplotlib's inferno: lightness rises steadily, also for colour-blind eyes.
TINT_STOPS = np.array([(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)])


class EvidenceBox(NamedTuple):
    """A box in pixels of the image: left and top inside, right and bottom outside."""

    x0: int
    y0: int
    x1: int
    y1: int


def evidence_box(evidence: NDArray[np.floating], height: int, width: int) -> EvidenceBox | None:
    """Return the box around the strongest evidence, or None when nothing speaks for the class.

    The box holds all cells connected with the peak (by their sides) that reach half of it. It is
    as coarse as the map of the class, (h, w): one cell of a 7 × 7 map is a seventh of the image,
    which has height × width pixels.

    >>> evidence_box(np.array([[0.0, 0.0], [0.0, 4.0]]), 100, 200)
    EvidenceBox(x0=100, y0=50, x1=200, y1=100)
    """
    peak = np.unravel_index(int(evidence.argmax()), evidence.shape)
    if not evidence[peak] > 0:
        return None
    cells = _connected(evidence >= evidence[peak] / 2, (int(peak[0]), int(peak[1])))
    rows, columns = [row for row, _ in cells], [column for _, column in cells]
    cells_down, cells_across = evidence.shape
    # in whole numbers: 7 * (29 / 7) is more than 29, and its ceiling lies outside the image
    return EvidenceBox(
        x0=min(columns) * width // cells_across,
        y0=min(rows) * height // cells_down,
        x1=-(-(max(columns) + 1) * width // cells_across),
        y1=-(-(max(rows) + 1) * height // cells_down),
    )


def _connected(mask: NDArray[np.bool_], start: tuple[int, int]) -> set[tuple[int, int]]:
    """Return the cells of the mask that can be reached from `start` over shared sides."""
    found, open_cells = {start}, [start]
    while open_cells:
        row, column = open_cells.pop()
        for cell in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            inside = 0 <= cell[0] < mask.shape[0] and 0 <= cell[1] < mask.shape[1]
            if inside and mask[cell] and cell not in found:
                found.add(cell)
                open_cells.append(cell)
    return found


def evidence_overlay(image: NDArray[np.uint8], evidence: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Tint the image, in grey, where the evidence for the predicted class lies.

    Args:
        image: uint8 (H, W, 3), RGB, as is the result.
        evidence: (h, w), any scale: only what is above 0 counts, relative to its largest.
            What is not finite counts as 0.

    Raises:
        ShapeError: The shapes are not these.
    """
    pillow = Image.fromarray(checked_image(image))
    grey = np.asarray(pillow.convert("L").convert("RGB"), dtype=np.float64)
    heat = _stretched(evidence, pillow.size)[:, :, None]
    stop = np.linspace(0, 1, len(TINT_STOPS))
    tint = np.stack([np.interp(heat[:, :, 0], stop, channel) for channel in TINT_STOPS.T], axis=2)
    weight = STRONGEST_TINT * heat
    return np.round(grey * (1 - weight) + tint * weight).astype(np.uint8)


def evidence_outline(image: NDArray[np.uint8], evidence: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Draw a line around the places of at least half of the strongest evidence.

    Inside and outside of the line the image stays as it is, so that a defect stays visible. Without
    any evidence there is no line. Arguments, result and errors as `evidence_overlay`.
    """
    outlined = checked_image(image).copy()
    height, width, _ = outlined.shape
    strong = _stretched(evidence, (width, height)) >= _HALF
    thick = max(1, round(max(height, width) / 300))
    inner = strong.copy()
    for _ in range(thick):
        padded = np.pad(inner, 1, constant_values=True)  # the edge of the image is no line
        inner = inner & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    outlined[strong & ~inner] = OUTLINE
    return outlined


def _stretched(evidence: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.float64]:
    value = np.asarray(evidence, dtype=np.float64)
    if value.ndim != 2 or value.size == 0:
        raise ShapeError(f"evidence must be (h, w), but got shape {value.shape}")
    value = np.maximum(np.nan_to_num(value, nan=0.0, posinf=0.0, neginf=0.0), 0.0)
    value = value / (value.max() or 1.0)
    large = Image.fromarray(value.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
    return np.clip(np.asarray(large, dtype=np.float64), 0.0, 1.0)


def checked_image(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the image, C-contiguous, or raise ShapeError if it is not uint8 (H, W, 3)."""
    value = np.asarray(image)
    if value.ndim != 3 or value.shape[2] != 3 or value.size == 0 or value.dtype != np.uint8:
        raise ShapeError(
            f"image must be uint8 (H, W, 3), but got {value.dtype} of shape {value.shape}"
        )
    return np.ascontiguousarray(value)
