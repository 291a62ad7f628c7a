"""The images that an inspector keeps, so that the PC that will run it can verify it.

Axes: N images, K classes.
"""

import io
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sihwa.dataset import Manifest
from sihwa.images import decode_image, read_bytes
from sihwa.inspector.image_list import spread

_MOST_BYTES = 512 * 2**10
_LONGEST_SIDE = 1024
_NEVER = (1980, 1, 1, 0, 0, 0)  # the same images give the same file, whenever it is made


def choose_images(manifest: Manifest, probability: NDArray[np.floating], count: int) -> list[int]:
    """Return rows of calibration images: half close to a decision border, half from all over.

    Those near a border are where a runtime that computes otherwise would show first; they come
    first. Those from all over are chosen before them, so that they are as on the line.

    Args:
        manifest: Every image with its split.
        probability: Calibrated probabilities of every image, (N, K).
        count: How many at most.
    """
    rows = np.flatnonzero(manifest.split == "calibration")
    count = min(count, len(rows))
    all_over = spread(rows.tolist(), count - count // 2)
    others = np.setdiff1d(rows, all_over)
    top = np.sort(probability[others], axis=1)
    nearest = others[np.argsort(top[:, -1] - top[:, -2], kind="stable")]
    return [*nearest[: count // 2].tolist(), *all_over]


def pack_images(manifest: Manifest, rows: list[int]) -> bytes | None:
    """Return a .zip of the images, without their names; None for none.

    Files up to 512 KiB are kept as they are; larger ones are shrunk to 1,024 pixels and saved as
    JPEG: both sides of the comparison decode the same file, so its loss does not matter.
    """
    if not rows:
        return None
    paths = manifest.table["path"].to_pylist()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for place, row in enumerate(rows):
            content, suffix = _small(read_bytes(paths[row]), paths[row])
            archive.writestr(zipfile.ZipInfo(f"{place:03d}{suffix}", _NEVER), content)
    return packed.getvalue()


def _small(content: bytes, path: str) -> tuple[bytes, str]:
    if len(content) <= _MOST_BYTES:
        return content, Path(path).suffix.lower()
    image = Image.fromarray(decode_image(content, path))
    image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    shrunk = io.BytesIO()
    image.save(shrunk, "JPEG", quality=95)
    return shrunk.getvalue(), ".jpg"
