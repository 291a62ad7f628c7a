"""Image file to uint8 RGB array: the one decoder of training, scoring and verification.

Axes: H and W image size in pixels.
"""

import contextlib
import io
import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from sihwa.errors import UnreadableImage
from sihwa.images.complete import require_all_rows, require_all_strips
from sihwa.images.reading import read_bytes

IMAGE_FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "PPM")
MAX_PIXELS = 100_000_000
"""Larger images are refused before decoding: a small file can claim any size."""
MAX_PAGES = 1_000
"""A TIFF of more pages is refused: a small file can claim any number."""
_PAGE_MARK = "#page="

_PHONE_JPEG = "MPO"
"""Pillow's name for a JPEG followed by more JPEGs (CIPA MPO)."""
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
_BITS, _PHOTOMETRIC, _ORIENTATION, _SAMPLE_FORMAT = 258, 262, 274, 339  # TIFF 6.0
_WHITE_IS_ZERO, _SIGNED = 0, 2
_TURNS: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: image.swapaxes(0, 1)[:, ::-1],
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: image.swapaxes(0, 1)[::-1],
}
"""Turns a stored image upright, by Exif orientation (Exif 2.3, tag 274)."""


# Pillow warns of damage that does not change the pixels; what does change them raises
warnings.filterwarnings("ignore", module=r"PIL\.")


def decode_image(content: bytes, path: str, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode an image.

    Grey is repeated in all three channels. 16-bit grey is divided by 257 and rounded, so white
    stays white; 16-bit colour keeps its upper byte. Transparent pixels are blended with black.
    CMYK and palettes become RGB. The camera's orientation (EXIF) is applied.

    Args:
        content: The file: JPEG, PNG, BMP, TIFF, WebP or PBM/PGM/PPM.
        path: Where it came from, for messages.
        max_pixels: Largest allowed H × W.

    Returns:
        The image, (H, W, 3), uint8 RGB, C-contiguous.

    Raises:
        UnreadableImage: Empty, damaged, truncated, too large, several pages, or another format.
    """
    with _opened(content, path, max_pixels) as image:
        pages = _count_pages(image, path)
        if pages > 1:
            raise UnreadableImage(path, f"holds {pages} pages; one image per file is expected")
        return _decode(image, content, path, max_pixels)


class Page(NamedTuple):
    """One page of a TIFF, or the one image of another file."""

    image: NDArray[np.uint8] | UnreadableImage
    """(H, W, 3), uint8 RGB, or why it cannot be read."""
    number: int | None = None
    """From 1; None if the file holds one image."""
    of: int | None = None
    """Pages in the file; None if it holds one image."""


def decode_pages(content: bytes, path: str, max_pixels: int = MAX_PIXELS) -> Iterator[Page]:
    """Decode every page of a TIFF, or the one image of any other file; see `decode_image`.

    `max_pixels` holds for each page. A file that cannot be opened yields one page with the reason.
    """
    try:
        with _opened(content, path, max_pixels) as image:
            pages = _count_pages(image, path)
            if pages == 1 or image.format != "TIFF":
                yield Page(decode_image(content, path, max_pixels))
                return
            for number in range(1, pages + 1):
                yield Page(_decode_page(image, number, content, path, max_pixels), number, pages)
    except UnreadableImage as error:
        yield Page(error)


def page_address(path: str, page: int) -> str:
    """Return the address of one page of a TIFF, counted from 1.

    >>> page_address("scan.tif", 2)
    'scan.tif#page=2'
    """
    return f"{path}{_PAGE_MARK}{page}"


def read_image(path: str, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Read and decode an image: (H, W, 3), uint8 RGB; see `decode_image`.

    `path` is a file, `archive.zip!/member`, or one page of either, `file.tif#page=2`; a file that
    really has that name comes first.
    """
    file, mark, number = path.rpartition(_PAGE_MARK)
    if not (mark and number.isdecimal()) or os.path.lexists(path):
        return decode_image(read_bytes(path), path, max_pixels)
    for page in decode_pages(read_bytes(file), path, max_pixels):
        if isinstance(page.image, UnreadableImage):
            if page.number in (None, int(number)):
                raise page.image
        elif page.number == int(number):
            return page.image
    raise UnreadableImage(path, f"holds no page {number}")


def _count_pages(image: Image.Image, path: str) -> int:
    """Count the pages or animation frames of a file, and refuse a TIFF with too many.

    The extra JPEGs of a phone image, a gain map or a preview, are not counted. Pages of a TIFF
    are sought one by one: Pillow's own count takes quadratic time, minutes for 40,000 pages.
    """
    if image.format == _PHONE_JPEG:
        return 1
    if image.format == "TIFF":
        with contextlib.suppress(EOFError):
            for number in range(1, MAX_PAGES + 1):
                image.seek(number)
            raise UnreadableImage(path, f"more pages than the {MAX_PAGES} allowed")
        image.seek(0)
    return int(getattr(image, "n_frames", 1))


def _decode_page(
    image: Image.Image, number: int, content: bytes, path: str, max_pixels: int
) -> NDArray[np.uint8] | UnreadableImage:
    try:
        with _damage_refused(path):
            image.seek(number - 1)
            return _decode(image, content, path, max_pixels)
    except UnreadableImage as error:
        return error


@contextlib.contextmanager
def _opened(content: bytes, path: str, max_pixels: int) -> Iterator[Image.Image]:
    if not content:
        raise UnreadableImage(path, "empty file")
    if max_pixels > (Image.MAX_IMAGE_PIXELS or max_pixels):
        Image.MAX_IMAGE_PIXELS = max_pixels  # Pillow's own limit, for the whole process
    with _damage_refused(path), Image.open(io.BytesIO(content), formats=IMAGE_FORMATS) as image:
        yield image


@contextlib.contextmanager
def _damage_refused(path: str) -> Iterator[None]:
    try:
        yield
    except UnreadableImage:
        raise
    except Exception as error:
        # on hostile bytes, decoders raise almost anything
        raise UnreadableImage(path, _reason(error)) from error


def _decode(image: Image.Image, content: bytes, path: str, max_pixels: int) -> NDArray[np.uint8]:
    width, height = image.size
    if width * height > max_pixels:
        raise UnreadableImage(
            path, f"{width} x {height} pixels are more than the {max_pixels} allowed"
        )
    if image.format in ("JPEG", _PHONE_JPEG) and _suits_turbojpeg(image):
        pixels = _decode_jpeg(image, content)
    else:
        if image.format == "PNG":
            require_all_rows(content, path)
        if image.format == "TIFF":
            require_all_strips(getattr(image, "tag_v2", {}), path)
        image.load()
        pixels = _as_rgb(image, path)
    turn = _TURNS.get(_orientation(image))
    return np.ascontiguousarray(pixels if turn is None else turn(pixels))


def _suits_turbojpeg(image: Image.Image) -> bool:
    """Tell whether TurboJPEG accepts a JPEG; in CMYK, black must be sampled as finely as cyan.

    Pillow decodes the others, but it hides libjpeg's warnings.
    """
    if image.mode != "CMYK":
        return True
    first, *between, black = (sampling for _, *sampling, _ in getattr(image, "layer", ()))
    return first == black and all(sampling == [1, 1] for sampling in between)


def _decode_jpeg(image: Image.Image, content: bytes) -> NDArray[np.uint8]:
    """Decode a JPEG; a warning of the decoder counts as damage."""
    height, width = simplejpeg.decode_jpeg_header(content)[:2]
    if (width, height) != image.size:  # only image.size was checked against the limit
        raise ValueError(f"two sizes, {width} x {height} and {image.width} x {image.height}")
    if image.mode == "CMYK":  # stored inverted, as Adobe does
        inks = 255 - simplejpeg.decode_jpeg(content, "CMYK")
        return np.array(Image.fromarray(inks, mode="CMYK").convert("RGB"))
    pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(content, "RGB")
    return pixels


def _orientation(image: Image.Image) -> int:
    """Return the Exif orientation; 1, upright, if it is damaged."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # on hostile bytes, Pillow raises almost anything
        return 1


def _as_rgb(image: Image.Image, path: str) -> NDArray[np.uint8]:
    tags: Any = getattr(image, "tag_v2", {})  # only a TIFF has them
    if _SIGNED in tags.get(_SAMPLE_FORMAT, ()) or (tags and image.mode == "I"):
        raise UnreadableImage(
            path, "signed or 32-bit pixels have no defined white; save as unsigned 16-bit"
        )
    if image.mode in _SIXTEEN_BIT or image.mode == "I":
        white = 2 ** max(tags.get(_BITS, (16,))) - 1
        wide = np.asarray(image).astype(np.int32)
        if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:  # Pillow inverts these up to 8 bits only
            wide = white - wide
        grey = ((255 * wide + white // 2) // white).astype(np.uint8)  # rounded to nearest
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode == "F":
        raise UnreadableImage(path, "floating-point pixels have no defined white; save as 16-bit")
    if image.has_transparency_data:
        opaque = image.convert("RGBA")
        black = Image.new("RGBA", opaque.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, opaque)
    return np.asarray(image.convert("RGB"))


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image of a known format (JPEG, PNG, BMP, TIFF, WebP, PBM, PGM, PPM)"
    if isinstance(error, Image.DecompressionBombError):
        return "its pixels are more than allowed"
    if isinstance(error, MemoryError):
        return "too large for this machine's memory"
    text = " ".join(str(error).split())[:160] or type(error).__name__
    return f"damaged: {text}"
