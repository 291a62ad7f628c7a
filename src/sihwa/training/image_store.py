"""Decoded images of a run.

Axes: N images, H and W image size in pixels.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sihwa.dataset import Manifest
from sihwa.errors import UnreadableImage
from sihwa.images import map_with_progress
from sihwa.training.large_array import new_array


class ImageStore:
    """Images by manifest row, uint8; byte-identical ones are kept once.

    Args:
        pixels: All images, one after another, (bytes,), uint8.
        place: Start, height and width of each row's image.
    """

    def __init__(self, pixels: NDArray[np.uint8], place: dict[int, tuple[int, int, int]]) -> None:
        self._pixels = pixels
        self._place = place

    def __getitem__(self, row: int) -> NDArray[np.uint8]:
        """Return the image (H, W, 3) of a manifest row."""
        start, height, width = self._place[row]
        return self._pixels[start : start + height * width * 3].reshape(height, width, 3)


def decode_images(
    manifest: Manifest, rows: Sequence[int], *, memory_mib: int, cache_dir: Path
) -> ImageStore:
    """Decode the images of these rows, each content once.

    Args:
        manifest: The images.
        rows: Which of them.
        memory_mib: Larger stores go to a temporary file.
        cache_dir: Folder of that file.

    Raises:
        UnreadableImage: An image is gone or changed since the manifest was made.
        StorageError: The file cannot be created.
    """
    content, height, width = (
        manifest.table[name].to_pylist() for name in ("sha256", "height", "width")
    )
    first = {content[row]: row for row in reversed(rows)}
    place: dict[str, tuple[int, int, int]] = {}
    size = 0
    for sha256, row in first.items():
        place[sha256] = size, height[row], width[row]
        size += height[row] * width[row] * 3
    pixels = new_array((size,), np.uint8, memory_mib=memory_mib, folder=cache_dir.expanduser())

    def decode(sha256: str) -> None:
        image = manifest.read_image(first[sha256])
        start, *size = place[sha256]
        if image.shape[:2] != tuple(size):
            path = manifest.table["path"][first[sha256]].as_py()
            raise UnreadableImage(path, "its size differs from the manifest")
        pixels[start : start + image.size] = image.reshape(-1)

    map_with_progress("decoding", decode, first)
    return ImageStore(pixels, {row: place[content[row]] for row in rows})
