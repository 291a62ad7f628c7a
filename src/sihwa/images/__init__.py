"""Pictures: found in folders and archives, read, and decoded to uint8 RGB, the same everywhere."""

import numpy as np
from numpy.typing import NDArray

from sihwa.images.decode import MAX_PIXELS, decode_image
from sihwa.images.source import IMAGE_SUFFIXES, Listing, find_images, read_bytes

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "Listing",
    "decode_image",
    "find_images",
    "read_bytes",
    "read_image",
]


def read_image(path: str, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Read and decode a picture, a file or `archive.zip!/member`: (H, W, 3), uint8 RGB.

    Raises:
        UnreadableImage: It cannot be read or decoded; the reason is in a few words.
    """
    return decode_image(read_bytes(path), path, max_pixels)
