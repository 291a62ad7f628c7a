"""A picture of what augmentation does: one row per picture, the original first.

Axes: N images, H and W picture size in pixels.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sihwa.augmentation.augment import Augmenter

__all__ = ["contact_sheet"]

_SIDE = 160
_GAP = 4


def contact_sheet(
    images: Sequence[NDArray[np.uint8]], augmenter: Augmenter, *, columns: int = 7, seed: int = 0
) -> NDArray[np.uint8]:
    """Return originals in the first column and augmented copies beside them.

    Args:
        images: Pictures (H, W, 3), uint8 RGB, at least one.
        augmenter: What changes them.
        columns: Copies of each, at least 1.
        seed: What the changes are drawn from.

    Returns:
        The sheet, (rows × 164 + 4, (columns + 1) × 164 + 4, 3), uint8 RGB.
    """
    step = _SIDE + _GAP
    size = ((columns + 1) * step + _GAP, len(images) * step + _GAP)
    sheet = Image.new("RGB", size, "white")
    for row, image in enumerate(images):
        copies = [augmenter(image, (seed, 0, row, column)) for column in range(columns)]
        for column, copy in enumerate([image, *copies]):
            small = Image.fromarray(copy)
            small.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
            sheet.paste(small, (column * step + _GAP, row * step + _GAP))
    return np.asarray(sheet)
