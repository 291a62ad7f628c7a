"""The images kept in an inspector, for `sihwa verify` on the PC that will run it.

Axes: N images, K classes.
"""

import io
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sihwa.dataset import Manifest
from sihwa.images import MAX_PIXELS, Decoding, decode_image, read_bytes
from sihwa.inspector.image_list import spread

_MAX_BYTES = 512 * 2**10
_MAX_SIDE = 1024
_DATE = (1980, 1, 1, 0, 0, 0)  # fixed, so that the same images always give the same file


def choose_images(manifest: Manifest, probability: NDArray[np.floating], count: int) -> list[int]:
    """Return rows of calibration images: first the closest calls, then as many chosen evenly.

    A runtime that computes differently would flip close calls first. The evenly chosen half is
    chosen first, so that it represents the line. There are at most `count` rows; `probability` is
    that of every image, calibrated, (N, K).
    """
    rows = np.flatnonzero(manifest.split == "calibration")
    count = min(count, len(rows))
    even = spread(rows.tolist(), count - count // 2)
    others = np.setdiff1d(rows, even)
    top = np.sort(probability[others], axis=1)
    closest = others[np.argsort(top[:, -1] - top[:, -2], kind="stable")]
    return [*closest[: count // 2].tolist(), *even]


def pack_images(manifest: Manifest, rows: list[int]) -> bytes | None:
    """Return a .zip of the images, without their names; None for no rows.

    Files up to 512 KiB are kept unchanged; larger ones are shrunk to 1,024 pixels and saved as
    JPEG. The loss does not matter, as both sides of a comparison decode the same file.
    """
    if not rows:
        return None
    paths = manifest.files
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for place, row in enumerate(rows):
            content, suffix = _shrink(read_bytes(paths[row]), paths[row], manifest.decoding)
            archive.writestr(zipfile.ZipInfo(f"{place:03d}{suffix}", _DATE), content)
    return packed.getvalue()


def _shrink(content: bytes, path: str, decoding: Decoding) -> tuple[bytes, str]:
    pixels = decode_image(content, path, decoding)
    if len(content) <= _MAX_BYTES and pixels.size <= 3 * MAX_PIXELS:
        return content, Path(path).suffix.lower()
    image = Image.fromarray(pixels)
    image.thumbnail((_MAX_SIDE, _MAX_SIDE))
    shrunk = io.BytesIO()
    image.save(shrunk, "JPEG", quality=95)
    return shrunk.getvalue(), ".jpg"
