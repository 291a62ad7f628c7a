"""Pixels of more than 8 bits: which values become black and white.

Axes: H and W image size in pixels.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image

from sihwa.errors import UnreadableImage
from sihwa.images.decoding import Decoding

SIXTEEN_BIT_WHITE = 2**16 - 1

_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # TIFF 6.0
_WHITE_IS_ZERO, _SIGNED, _FLOAT = 0, 2, 3
_PNG_COLOURS = (2, 4, 6)
_BLOCK = 2**20


class Levels(NamedTuple):
    """Values found in an image of more than 8 bits."""

    lowest: float
    highest: float
    is_colour: bool = False
    """Of 16-bit colour only the upper byte is known."""


def decode_levels(
    image: Image.Image, path: str, decoding: Decoding
) -> tuple[NDArray[np.uint8], Levels] | None:
    """Decode grey of more than 8 bits to (H, W), and tell its values; None for other images.

    A file that states its own white, such as a PGM of 12 bits, keeps it. Values outside of the
    stated range are clipped; NaN, which height maps have where nothing was measured, is black.

    Raises:
        UnreadableImage: Signed, 32-bit or floating-point pixels without a stated range.
    """
    tags: Any = getattr(image, "tag_v2", {})  # only a TIFF has them
    values, ends = _stored_values(image, tags, decoding)
    if values is None:
        return None
    found = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    levels = Levels(float(found.min()), float(found.max())) if found.size else Levels(0, 0)
    if ends is None:
        kind = "floating-point" if values.dtype.kind == "f" else "signed or 32-bit"
        raise UnreadableImage(
            path,
            f"{kind} pixels, here from {levels.lowest:g} to {levels.highest:g}, have no defined "
            "white; train with dataset.white=[LOW,HIGH], the values of black and white",
        )
    grey = _scale(values, *ends)
    is_negative = tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO  # Pillow inverts up to 8 bits only
    return (~grey if is_negative else grey), levels


def colour_levels(
    image: Image.Image, content: bytes, pixels: NDArray[np.uint8], path: str, decoding: Decoding
) -> Levels | None:
    """Tell the values of 16-bit colour, of which Pillow gives the upper byte; None otherwise.

    Raises:
        UnreadableImage: A range is stated, which the upper byte cannot be scaled to.
    """
    tags: Any = getattr(image, "tag_v2", {})
    is_wide = max(tags.get(_BITS, (8,))) > 8
    if image.format == "PNG":
        is_wide = content[24] > 8 and content[25] in _PNG_COLOURS
    if not is_wide:
        return None
    if decoding.white:
        raise UnreadableImage(
            path, "dataset.white cannot scale 16-bit colour; save it as 8-bit colour"
        )
    return Levels(256.0 * int(pixels.min()), 256.0 * int(pixels.max()), is_colour=True)


def _stored_values(
    image: Image.Image,
    tags: Any,  # noqa: ANN401
    decoding: Decoding,
) -> tuple[NDArray[Any] | None, tuple[float, float] | None]:
    """Return the values as stored and those of black and white; None for what is not known."""
    is_signed = _SIGNED in tags.get(_SAMPLE_FORMAT, ())
    own: float | None = None
    kind: DTypeLike
    stated = False
    if image.mode in _SIXTEEN_BIT:
        own = 2.0 ** max(tags.get(_BITS, (16,))) - 1
        stated, kind = own != SIXTEEN_BIT_WHITE, np.uint16
    elif image.mode == "I" and not tags:  # PGM, which Pillow scales to 16 bits
        own = SIXTEEN_BIT_WHITE
        stated, kind = _states_white(image), np.uint16
    elif image.mode == "I":
        kind = np.int32 if is_signed else np.uint32
    elif image.mode == "F":
        kind = np.float32
    elif is_signed:
        kind = np.int8
    else:
        return None, None
    image.load()
    values = np.asarray(image).astype(kind)  # in this machine's order of bytes
    ends = None if own is None else (0.0, own)
    return values, ends if stated else decoding.white or ends


def _states_white(image: Any) -> bool:  # noqa: ANN401 -- Pillow does not type what it will decode
    """Tell whether a PGM says that its white is another than that of 16 bits."""
    arguments = image.tile[0].args if image.tile else ()
    return isinstance(arguments, tuple) and SIXTEEN_BIT_WHITE not in arguments


def _scale(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    if values.dtype == np.uint16:
        scaled: NDArray[np.uint8] = _table(low, high)[values]
        return scaled
    scaled = np.empty(values.shape, np.uint8)
    rows = max(1, _BLOCK // values.shape[1])
    for start in range(0, len(values), rows):
        scaled[start : start + rows] = _scale_block(values[start : start + rows], low, high)
    return scaled


@lru_cache(maxsize=8)
def _table(low: float, high: float) -> NDArray[np.uint8]:
    """Return the result for each 16-bit value, (65536,)."""
    return _scale_block(np.arange(2**16), low, high)


def _scale_block(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    wide = np.nan_to_num(values.astype(np.float64), nan=low, posinf=high, neginf=low)
    share = (np.clip(wide, low, high) - low) / (high - low)
    return np.floor(255 * share + 0.5).astype(np.uint8)
