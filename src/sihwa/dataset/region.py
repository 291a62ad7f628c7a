"""Which part of every image is looked at: `dataset.region`.

Axes: H and W image size in pixels.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sihwa.dataset.manifest import Manifest
from sihwa.errors import ConfigError, UnreadableImage
from sihwa.images import read_image

_SIDE = 256
"""Greatest side of the mask that an inspector holds."""
_EXPECTED = (
    "dataset.region must be [left, top, right, bottom] or three or more points [[x, y], ...], as "
    "shares of the image (0 to 1) or in pixels, or an image file whose black pixels are ignored"
)


class Region(NamedTuple):
    """What is looked at."""

    rectangle: tuple[float, float, float, float]
    """Left, top, right and bottom as shares of the image."""
    mask: NDArray[np.bool_] | None
    """Which parts of the whole image are looked at, at most 256 × 256; None for the rectangle."""


def read_region(given: Any, manifest: Manifest) -> Region:  # noqa: ANN401 -- a setting
    """Return the region that `dataset.region` states, for the images of a manifest.

    Of a polygon or a mask, the rectangle is the smallest that holds it.

    Raises:
        ConfigError: It states none, or states pixels while the images have different sizes.
    """
    if given is None:
        return Region((0.0, 0.0, 1.0, 1.0), None)
    if isinstance(given, str):
        return _around(_read_mask(given))
    numbers = _numbers(given)
    if numbers is None:
        raise ConfigError(f"{_EXPECTED}; got {given!r}")
    shares = _as_shares(numbers, manifest)
    if shares.ndim == 1:
        left, top, right, bottom = shares.tolist()
        if not (left < right and top < bottom):
            raise ConfigError(f"{_EXPECTED}; left before right and top before bottom, got {given}")
        return Region((left, top, right, bottom), None)
    drawn = Image.new("1", (_SIDE, _SIDE))
    ImageDraw.Draw(drawn).polygon([(x, y) for x, y in (shares * _SIDE).tolist()], fill=1)
    return _around(np.asarray(drawn))


def _numbers(given: Any) -> NDArray[np.float64] | None:  # noqa: ANN401 -- a setting
    """Return a rectangle, (4,), or the points of a polygon, (P, 2); None for anything else."""
    try:
        numbers = np.array(given, np.float64)
    except (TypeError, ValueError):
        return None
    if numbers.shape == (4,) or (numbers.ndim == 2 and len(numbers) > 2 and numbers.shape[1] == 2):
        return numbers if (np.isfinite(numbers) & (numbers >= 0)).all() else None
    return None


def _as_shares(numbers: NDArray[np.float64], manifest: Manifest) -> NDArray[np.float64]:
    """Return x and y as shares of the image; numbers above 1 are pixels."""
    if numbers.max() <= 1:
        return numbers
    sizes = _sizes(manifest)
    if len(sizes) > 1:
        raise ConfigError(
            f"dataset.region={numbers.tolist()} is in pixels, but the images have {len(sizes)} "
            "sizes; give shares of the image, from 0 to 1"
        )
    [(height, width)] = sizes
    shares: NDArray[np.float64] = numbers / np.resize([width, height], numbers.shape)
    if shares.max() > 1:
        raise ConfigError(
            f"dataset.region={numbers.tolist()} is outside the images of {width} × {height} pixels"
        )
    return shares


def _sizes(manifest: Manifest) -> set[tuple[int, int]]:
    height, width = (manifest.table[name].to_pylist() for name in ("height", "width"))
    return set(zip(height, width, strict=True))


def _read_mask(path: str) -> NDArray[np.bool_]:
    try:
        image = read_image(str(Path(path).expanduser()))
    except UnreadableImage as error:
        raise ConfigError(f"dataset.region: {error}. {_EXPECTED}") from error
    seen = Image.fromarray((image.max(2) > 0).astype(np.uint8) * 255)
    seen.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
    return np.asarray(seen) >= 128


def _around(mask: NDArray[np.bool_]) -> Region:
    """Return the smallest rectangle that holds what a mask shows."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if not len(rows):
        raise ConfigError("dataset.region leaves nothing to look at: every pixel of it is black")
    tall, wide = mask.shape
    left, right = columns[0] / wide, (columns[-1] + 1) / wide
    top, bottom = rows[0] / tall, (rows[-1] + 1) / tall
    return Region((float(left), float(top), float(right), float(bottom)), mask)


def largest_size(manifest: Manifest) -> tuple[int, int]:
    """Return the greatest height and the greatest width of the images, in pixels."""
    sizes: Sequence[tuple[int, int]] = [*_sizes(manifest)]
    return max(height for height, _ in sizes), max(width for _, width in sizes)
