"""Images made smaller, for what needs no more pixels.

Axes: H and W image size in pixels.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def shrink(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return an image (H, W, 3) in a smaller size (h, w); each pixel is an area mean.

    An image of that size is returned as it is.

    >>> shrink(np.zeros((40, 90, 3), np.uint8), (40, 30)).shape
    (40, 30, 3)
    """
    if size == image.shape[:2]:
        return image
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BOX))
