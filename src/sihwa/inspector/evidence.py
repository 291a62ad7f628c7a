"""Where the network looked, as a box in the image.

Axes: h and w evidence-map size, H and W image size in pixels.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class EvidenceBox(NamedTuple):
    """A box in pixels of the image: left and top inside, right and bottom outside."""

    x0: int
    y0: int
    x1: int
    y1: int


def evidence_box(evidence: NDArray[np.floating], height: int, width: int) -> EvidenceBox | None:
    """Return the box around the strongest evidence, or None when nothing speaks for the class.

    The box holds all cells connected with the peak (by their sides) that reach half of it. It is
    as coarse as the map: one cell of a 7 × 7 map is a seventh of the image.

    Args:
        evidence: The map of one class, (h, w); larger speaks for the class.
        height: Image height H in pixels.
        width: Image width W in pixels.

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
