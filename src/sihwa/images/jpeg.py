"""JPEG to uint8 RGB by TurboJPEG, which tells of damage that Pillow hides.

Axes: H and W image size in pixels.
"""

import contextlib
import re
from collections.abc import Iterator

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

PHONE_JPEG = "MPO"
"""Pillow's name for a JPEG followed by more JPEGs (CIPA MPO)."""

_EXTRANEOUS = re.compile(r"(\d+) extraneous bytes before marker 0x([0-9a-f]{2})")
_END = b"\xff\xd9"


def suits_turbojpeg(image: Image.Image) -> bool:
    """Tell whether TurboJPEG accepts a JPEG; in CMYK, black must be sampled as finely as cyan.

    Pillow decodes the others, but it hides libjpeg's warnings.
    """
    if image.mode != "CMYK":
        return True
    first, *between, black = (sampling for _, *sampling, _ in getattr(image, "layer", ()))
    return first == black and all(sampling == [1, 1] for sampling in between)


def decode_jpeg(image: Image.Image, content: bytes, retries: int = 4) -> NDArray[np.uint8]:
    """Decode a JPEG that Pillow has opened: (H, W, 3), RGB.

    Zeros between its parts, with which some cameras fill up their files, are left out in at most
    `retries` places.

    Raises:
        ValueError: The decoder warns of damage.
    """
    try:
        return _decode(image, content)
    except ValueError as error:
        for shorter in _without_padding(content, str(error)) if retries else ():
            with contextlib.suppress(ValueError):
                return decode_jpeg(image, shorter, retries - 1)
        raise


def _decode(image: Image.Image, content: bytes) -> NDArray[np.uint8]:
    height, width = simplejpeg.decode_jpeg_header(content)[:2]
    if (width, height) != image.size:  # only image.size was checked against the limit
        raise ValueError(f"two sizes, {width} x {height} and {image.width} x {image.height}")
    if image.mode == "CMYK":  # stored inverted, as Adobe does
        inks = 255 - simplejpeg.decode_jpeg(content, "CMYK")
        return np.array(Image.fromarray(inks, mode="CMYK").convert("RGB"))
    pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(content, "RGB")
    return pixels


def _without_padding(content: bytes, warning: str) -> Iterator[bytes]:
    """Yield a JPEG without the zeros before the marker that the decoder warns of.

    Where pixels are missing, the decoder takes zeros for pixels: without them it refuses the file.
    """
    found = _EXTRANEOUS.search(warning)
    if found is None:
        return
    marker = b"\xff" + bytes.fromhex(found[2])
    if marker == _END:
        head, _, tail = content.rpartition(_END)
        pixels = head.rstrip(b"\0")
        if len(pixels) < len(head):
            yield pixels + _END + tail
            yield pixels + b"\0" + _END + tail  # the first zero may be of the pixels
    elif (start := content.find(bytes(int(found[1])) + marker)) >= 0:
        yield content[:start] + content[start + int(found[1]) :]
