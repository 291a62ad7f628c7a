"""Arrays in memory, or above a budget in a temporary file."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sihwa.errors import StorageError


def new_array(
    shape: Sequence[int], dtype: DTypeLike, *, memory_mib: int, folder: Path
) -> NDArray[Any]:
    """Return an array of zeros, in memory if it fits the budget, else mapped from a file.

    The file has no name, so the system removes it however the process ends.

    Args:
        shape: Of the array.
        dtype: Of its values.
        memory_mib: The budget in MiB.
        folder: Folder of the file, created if missing.

    Raises:
        StorageError: The file cannot be created, or the disk is full.
    """
    size = prod(shape) * np.dtype(dtype).itemsize
    if size <= memory_mib * 2**20:
        return np.zeros(shape, dtype)
    with _explained(folder, size):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder, prefix=".sihwa.") as file:
            _reserve(file.fileno(), size)
            # the map keeps the content after the handle is closed
            return np.memmap(file, dtype=dtype, mode="r+", shape=tuple(shape))


def _reserve(handle: int, size: int) -> None:
    """Allocate the space now: writing to a map on a full disk would kill the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, size)
    else:
        os.truncate(handle, size)


@contextlib.contextmanager
def _explained(folder: Path, size: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"cannot keep {size / 2**30:.1f} GiB in {folder}: {error.strerror or error}; free "
            "space there, name another place with cache_dir=PATH, or allow more memory with "
            "training.memory_mib"
        ) from error
