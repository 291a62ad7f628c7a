"""From a picture file's bytes to one uint8 RGB array, the same way everywhere.

Axes: H and W picture size in pixels.
"""

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from sihwa.errors import UnreadableImage

__all__ = ["IMAGE_FORMATS", "MAX_PIXELS", "decode_image"]

IMAGE_FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "PPM")
MAX_PIXELS = 100_000_000
"""Larger pictures are refused before they are decoded: a small file can claim any size."""

_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")


def decode_image(content: bytes, path: str, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode a picture.

    Grey is repeated in all three channels. 16-bit values are divided by 257, so that white stays
    white. What is transparent is laid over black. CMYK and palettes become RGB. The orientation
    that a camera noted (EXIF) is applied.

    Args:
        content: The file: JPEG, PNG, BMP, TIFF, WebP or PGM/PPM.
        path: Where it came from, for messages.
        max_pixels: Largest allowed H × W.

    Returns:
        The picture, (H, W, 3), uint8 RGB, C-contiguous.

    Raises:
        UnreadableImage: Empty, damaged, truncated, too large, of several pages, of another format.
    """
    if not content:
        raise UnreadableImage(path, "empty file")
    try:
        with warnings.catch_warnings():
            # a warning of the decoder is no fault of the caller; what matters raises
            warnings.simplefilter("ignore")
            return _decode(content, path, max_pixels)
    except UnreadableImage:
        raise
    except Exception as error:
        # hostile bytes make decoders raise almost anything; every one of them means this
        raise UnreadableImage(path, _reason(error)) from error


def _decode(content: bytes, path: str, max_pixels: int) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(content), formats=IMAGE_FORMATS) as picture:
        width, height = picture.size
        if width * height > max_pixels:
            raise UnreadableImage(
                path, f"{width} x {height} pixels are more than the {max_pixels} allowed"
            )
        pages = getattr(picture, "n_frames", 1)
        if pages > 1:
            raise UnreadableImage(path, f"holds {pages} pages; one picture per file is expected")
        picture.load()
        return np.ascontiguousarray(_as_rgb(picture, path))


def _as_rgb(picture: Image.Image, path: str) -> NDArray[np.uint8]:
    turned = ImageOps.exif_transpose(picture)
    if turned.mode in _SIXTEEN_BIT or turned.mode == "I":
        return _from_sixteen_bit(np.asarray(turned), path)
    if turned.mode == "F":
        raise UnreadableImage(path, "floating-point pixels have no agreed white; save as 16-bit")
    if turned.has_transparency_data:
        opaque = turned.convert("RGBA")
        black = Image.new("RGBA", opaque.size, (0, 0, 0, 255))
        turned = Image.alpha_composite(black, opaque)
    return np.asarray(turned.convert("RGB"))


def _from_sixteen_bit(pixels: NDArray[np.integer], path: str) -> NDArray[np.uint8]:
    wide = pixels.astype(np.int64)
    if wide.size and (wide.min() < 0 or wide.max() > 65535):
        raise UnreadableImage(path, "pixels beyond 16 bits have no agreed white; save as 16-bit")
    grey = ((wide + 128) // 257).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not a picture of a known format (JPEG, PNG, BMP, TIFF, WebP, PGM)"
    if isinstance(error, MemoryError):
        return "too large for this machine's memory"
    text = " ".join(str(error).split())[:160] or type(error).__name__
    return f"damaged: {text}"
