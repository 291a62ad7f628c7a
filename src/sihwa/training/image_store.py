"""Decoded images of a run, and arrays in memory or above a budget in a temporary file.

Axes: N images, H and W image size in pixels.
"""

import os
import tempfile
from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sihwa.dataset import Manifest
from sihwa.errors import StorageError, UnreadableImage
from sihwa.images import map_with_progress, shrink

Size = tuple[int, int]


class ImageStore:
    """Decoded images by manifest row, (H, W, 3), uint8; byte-identical ones are kept once.

    Args:
        manifest: The images.
        rows: Which of them.
        size_of: Gives the height and width in which an image is kept, no larger than its own.
        memory_mib: Larger stores go to a temporary file.
        cache_dir: Folder of that file.

    Raises:
        UnreadableImage: An image is gone or changed since the manifest was made.
        StorageError: The file cannot be created.
    """

    def __init__(
        self,
        manifest: Manifest,
        rows: Sequence[int],
        *,
        size_of: Callable[[int, int], Size],
        memory_mib: int,
        cache_dir: Path,
    ) -> None:
        content, height, width = (
            manifest.table[name].to_pylist() for name in ("sha256", "height", "width")
        )
        first = {content[row]: row for row in reversed(rows)}
        place: dict[str, tuple[int, int, int]] = {}
        size = 0
        for sha256, row in first.items():
            tall, wide = size_of(height[row], width[row])
            place[sha256] = size, tall, wide
            size += tall * wide * 3
        self._pixels = new_array((size,), np.uint8, memory_mib=memory_mib, folder=cache_dir)
        self._place = {row: place[content[row]] for row in rows}

        def decode(row: int) -> None:
            with manifest.open_image(row) as image:
                if image.shape != (height[row], width[row], 3):
                    path = manifest.table["path"][row].as_py()
                    raise UnreadableImage(path, "its size differs from the manifest")
                self[row][:] = shrink(image, self[row].shape[:2])

        map_with_progress("decoding", decode, first.values())

    @property
    def largest_bytes(self) -> int:
        """Bytes of the largest image."""
        return max(3 * height * width for _, height, width in self._place.values())

    def __getitem__(self, row: int) -> NDArray[np.uint8]:
        """Return the image (H, W, 3) of a manifest row."""
        start, height, width = self._place[row]
        return self._pixels[start : start + height * width * 3].reshape(height, width, 3)


def new_array(
    shape: Sequence[int], dtype: DTypeLike, *, memory_mib: int, folder: Path
) -> NDArray[Any]:
    """Return an array of zeros, in memory if it fits the budget, else mapped from a file.

    The file has no name, so the system removes it however the process ends.

    Raises:
        StorageError: The file cannot be created, or the disk is full.
    """
    size = prod(shape) * np.dtype(dtype).itemsize
    if size <= memory_mib * 2**20:
        return np.zeros(shape, dtype)
    folder = folder.expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder, prefix=".sihwa.") as file:
            if hasattr(os, "posix_fallocate"):
                # allocated now: writing to a map on a full disk would kill the process
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                os.truncate(file.fileno(), size)
            # the map keeps the content after the handle is closed
            return np.memmap(file, dtype=dtype, mode="r+", shape=tuple(shape))
    except OSError as error:
        raise StorageError(
            f"cannot keep {size / 2**30:.1f} GiB in {folder}: {error.strerror or error}; free "
            "space there, name another place with cache_dir=PATH, or allow more memory with "
            "training.memory_mib"
        ) from error
