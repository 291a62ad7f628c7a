"""Images of mixed sizes in batches of one size each, as runtimes take them.

Axes: N images, H and W image size.
"""

from collections.abc import Iterable, Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Key = TypeVar("Key")

BATCH = 32
_BATCH_BYTES = 16 * 2**20
"""Larger batches of pixels gain nothing: an image of this size keeps a core busy by itself."""


def batch_length(image_bytes: int, most: int = BATCH) -> int:
    """Return how many images of so many bytes go together, 1 to `most`.

    >>> batch_length(224 * 224 * 3), batch_length(4000 * 3000 * 3)
    (32, 1)
    """
    return max(1, min(most, _BATCH_BYTES // image_bytes))


def batches_by_size(
    images: Iterable[tuple[Key, Images]], most: int = BATCH
) -> Iterator[tuple[list[Key], Images]]:
    """Yield keys and images of one size, (N, H, W, 3), N at most `most`.

    Keys and images, (H, W, 3), are read as needed; about 16 MiB of images are held.
    """
    waiting: dict[tuple[int, ...], list[tuple[Key, Images]]] = {}
    for key, image in images:
        same = waiting.setdefault(image.shape, [])
        same.append((key, image))
        if len(same) >= batch_length(image.nbytes, most):
            yield _stack(waiting.pop(image.shape))
        elif sum(map(_bytes, waiting.values())) >= _BATCH_BYTES:
            yield _stack(waiting.pop(max(waiting, key=lambda shape: _bytes(waiting[shape]))))
    for same in waiting.values():
        yield _stack(same)


def _bytes(same: list[tuple[Key, Images]]) -> int:
    return len(same) * same[0][1].nbytes


def _stack(same: list[tuple[Key, Images]]) -> tuple[list[Key], Images]:
    keys, images = zip(*same, strict=True)
    # one large image is not worth a copy
    return list(keys), np.stack(images) if len(images) > 1 else images[0][None]
