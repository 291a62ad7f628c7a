"""Contact sheets of augmented and corrupted images, the original first in each row.

Axes: N images, H and W image size in pixels.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sihwa.augmentation.augment import Augmenter
from sihwa.augmentation.corruption import STRENGTHS, corrupt

_SIDE = 160
_GAP = 4


def contact_sheet(
    images: Sequence[NDArray[np.uint8]], augmenter: Augmenter, *, columns: int = 7, seed: int = 0
) -> NDArray[np.uint8]:
    """Return originals, at least one, in the first column and augmented copies beside them.

    The sheet is (N × 164 + 4, (columns + 1) × 164 + 4, 3), uint8 RGB, as the images are.
    """
    return _sheet(
        [
            [image, *(augmenter(image, (seed, 0, row, column)) for column in range(columns))]
            for row, image in enumerate(images)
        ]
    )


def corruption_sheet(image: NDArray[np.uint8], kinds: Sequence[str], key: int) -> NDArray[np.uint8]:
    """Return one row per kind of corruption: the original, then each strength.

    The sheet is (kinds × 164 + 4, 988, 3), uint8 RGB, as the image is.
    """
    return _sheet([[image, *(corrupt(image, kind, n, key) for n in STRENGTHS)] for kind in kinds])


def _sheet(rows: Sequence[Sequence[NDArray[np.uint8]]]) -> NDArray[np.uint8]:
    step = _SIDE + _GAP
    sheet = Image.new("RGB", (len(rows[0]) * step + _GAP, len(rows) * step + _GAP), "white")
    for row, images in enumerate(rows):
        for column, image in enumerate(images):
            small = Image.fromarray(image)
            small.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
            sheet.paste(small, (column * step + _GAP, row * step + _GAP))
    return np.asarray(sheet)
