"""Image file to uint8 RGB array: the one decoder of training, scoring and verification.

Axes: H and W image size in pixels.
"""

import contextlib
import io
import os
import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from sihwa.errors import UnreadableImage
from sihwa.images.budget import ByteBudget
from sihwa.images.complete import require_all_rows, require_all_strips
from sihwa.images.decoding import Decoding
from sihwa.images.jpeg import PHONE_JPEG, decode_jpeg, suits_turbojpeg
from sihwa.images.levels import Levels, colour_levels, decode_levels
from sihwa.images.reading import read_bytes

IMAGE_FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "PPM")
MAX_PAGES = 1_000
"""A TIFF of more pages is refused: a small file can claim any number."""
AS_STORED = Decoding()
_BUDGET = ByteBudget(512 * 2**20)
_BYTES_PER_PIXEL = 8
"""While an image is decoded: what its decoder holds, and the result."""
_PAGE_MARK = "#page="

_SUBFILE, _OLD_SUBFILE, _ORIENTATION = 254, 255, 274  # TIFF 6.0
_REDUCED_OR_MASK, _OLD_REDUCED = 0b101, 2
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


def decode_image(content: bytes, path: str, decoding: Decoding = AS_STORED) -> NDArray[np.uint8]:
    """Decode an image.

    Grey is repeated in all three channels. 16-bit grey is scaled by `decoding.white`, else divided
    by 257 and rounded, so white stays white; 16-bit colour keeps its upper byte. Transparent pixels
    are blended with black; an alpha that is the same everywhere is ignored. CMYK and palettes
    become RGB. The camera's orientation (EXIF) is applied, a colour profile is not.

    Args:
        content: The file: JPEG, PNG, BMP, TIFF, WebP or PBM/PGM/PPM.
        path: Where it came from, for messages.
        decoding: Largest allowed size, and which values become black and white.

    Returns:
        The image, (H, W, 3), uint8 RGB, C-contiguous.

    Raises:
        UnreadableImage: Empty, damaged, truncated, too large, several pages, or another format.
    """
    return decode_with_levels(content, path, decoding)[0]


def decode_with_levels(
    content: bytes, path: str, decoding: Decoding = AS_STORED
) -> tuple[NDArray[np.uint8], Levels | None]:
    """Decode an image as `decode_image` does; tell its values if they take more than 8 bits."""
    with decoded_image(content, path, decoding) as found:
        return found


@contextlib.contextmanager
def decoded_image(
    content: bytes, path: str, decoding: Decoding = AS_STORED
) -> Iterator[tuple[NDArray[np.uint8], Levels | None]]:
    """Decode an image as `decode_with_levels` does, for use by one of many threads.

    Within the block the image counts among those that are held: threads wait for each other where
    large images would take too much memory together. The block must not decode another one.
    """
    with contextlib.ExitStack() as held:
        with _opened(content, path) as image:
            pages = _find_pages(image, path)
            if len(pages) > 1:
                raise UnreadableImage(
                    path, f"holds {len(pages)} pages; one image per file is expected"
                )
            image.seek(pages[0])
            _check_pixels(image, path, decoding)
            held.enter_context(_BUDGET.claim(_BYTES_PER_PIXEL * image.width * image.height))
            found = _decode(image, content, path, decoding)
        yield found


def read_levels(content: bytes, path: str, decoding: Decoding = AS_STORED) -> Levels | None:
    """Return the values of a grey 16-bit image; None for any other, which is not decoded."""
    with _opened(content, path) as image:
        image.seek(_find_pages(image, path)[0])
        _check_pixels(image, path, decoding)
        found = decode_levels(image, path, decoding)
        return found and found[1]


class Page(NamedTuple):
    """One page of a TIFF, or the one image of another file."""

    image: NDArray[np.uint8] | UnreadableImage
    """(H, W, 3), uint8 RGB, or why it cannot be read."""
    number: int | None = None
    """From 1; None if the file holds one image."""
    of: int | None = None
    """Pages in the file; None if it holds one image."""


def decode_pages(content: bytes, path: str, decoding: Decoding = AS_STORED) -> Iterator[Page]:
    """Decode every page of a TIFF, or the one image of any other file; see `decode_image`.

    The limit of pixels holds for each page. A file that cannot be opened yields one page with the
    reason.
    """
    try:
        with _opened(content, path) as image:
            pages = _find_pages(image, path)
            if len(pages) == 1 or image.format != "TIFF":
                yield Page(decode_image(content, path, decoding))
                return
            for number, place in enumerate(pages, 1):
                page = _decode_page(image, place, content, path, decoding)
                yield Page(page, number, len(pages))
    except UnreadableImage as error:
        yield Page(error)


def page_address(path: str, page: int) -> str:
    """Return the address of one page of a TIFF, counted from 1.

    >>> page_address("scan.tif", 2)
    'scan.tif#page=2'
    """
    return f"{path}{_PAGE_MARK}{page}"


def read_image(path: str, decoding: Decoding = AS_STORED) -> NDArray[np.uint8]:
    """Read and decode an image: (H, W, 3), uint8 RGB; see `decode_image`.

    `path` is a file, `archive.zip!/member`, or one page of either, `file.tif#page=2`; a file that
    really has that name comes first.
    """
    file, mark, number = path.rpartition(_PAGE_MARK)
    if not (mark and number.isdecimal()) or os.path.lexists(path):
        return decode_image(read_bytes(path), path, decoding)
    for page in decode_pages(read_bytes(file), path, decoding):
        if isinstance(page.image, UnreadableImage):
            if page.number in (None, int(number)):
                raise page.image
        elif page.number == int(number):
            return page.image
    raise UnreadableImage(path, f"holds no page {number}")


def _find_pages(image: Image.Image, path: str) -> list[int]:
    """Return the places of the pages or animation frames of a file, at least one.

    The extra JPEGs of a phone image, a gain map or a preview, are not counted. Nor are the reduced
    images and masks of a TIFF, unless it holds nothing else. Its pages are sought one by one:
    Pillow's own count takes quadratic time, minutes for 40,000 pages.

    Raises:
        UnreadableImage: A TIFF with too many.
    """
    if image.format == PHONE_JPEG:
        return [0]
    if image.format != "TIFF":
        return list(range(int(getattr(image, "n_frames", 1))))
    pages = [0] if _is_page(image) else []
    last = 0
    with contextlib.suppress(EOFError):
        for last in range(1, MAX_PAGES + 1):
            image.seek(last)
            if _is_page(image):
                pages.append(last)
        raise UnreadableImage(path, f"more pages than the {MAX_PAGES} allowed")
    return pages or list(range(max(1, last)))


def _is_page(image: Image.Image) -> bool:
    """Tell whether a TIFF's current image is one by itself, no thumbnail or mask of another."""
    tags = getattr(image, "tag_v2", {})
    kind = tags.get(_SUBFILE, 0)
    is_part = isinstance(kind, int) and kind & _REDUCED_OR_MASK
    return not is_part and tags.get(_OLD_SUBFILE) != _OLD_REDUCED


def _decode_page(
    image: Image.Image, place: int, content: bytes, path: str, decoding: Decoding
) -> NDArray[np.uint8] | UnreadableImage:
    try:
        with _damage_refused(path):
            image.seek(place)
            return _decode(image, content, path, decoding)[0]
    except UnreadableImage as error:
        return error


@contextlib.contextmanager
def _opened(content: bytes, path: str) -> Iterator[Image.Image]:
    if not content:
        raise UnreadableImage(path, "empty file")
    # Pillow's limit is for the whole process; `_check_pixels` is before any pixel is decoded
    Image.MAX_IMAGE_PIXELS = None
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


def _check_pixels(image: Image.Image, path: str, decoding: Decoding) -> None:
    width, height = image.size
    if width * height > decoding.max_pixels:
        raise UnreadableImage(
            path,
            f"{width} x {height} pixels are more than the {decoding.max_pixels} allowed; raise "
            f"{decoding.setting}",
        )


def _decode(
    image: Image.Image, content: bytes, path: str, decoding: Decoding
) -> tuple[NDArray[np.uint8], Levels | None]:
    _check_pixels(image, path, decoding)
    if image.format in ("JPEG", PHONE_JPEG) and suits_turbojpeg(image):
        pixels, levels = decode_jpeg(image, content), None
    else:
        if image.format == "PNG":
            require_all_rows(content, path)
        if image.format == "TIFF":
            require_all_strips(getattr(image, "tag_v2", {}), path)
        pixels, levels = _decode_slowly(image, content, path, decoding)
    turn = _TURNS.get(_orientation(image))
    return np.ascontiguousarray(pixels if turn is None else turn(pixels)), levels


def _decode_slowly(
    image: Image.Image, content: bytes, path: str, decoding: Decoding
) -> tuple[NDArray[np.uint8], Levels | None]:
    """Decode with Pillow, which knows every format."""
    found = decode_levels(image, path, decoding)
    if found is not None:
        grey, levels = found
        return np.repeat(grey[:, :, None], 3, axis=2), levels
    image.load()
    pixels = _as_rgb(image)
    return pixels, colour_levels(image, content, pixels, path, decoding)


def _orientation(image: Image.Image) -> int:
    """Return the Exif orientation; 1, upright, if it is damaged."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # on hostile bytes, Pillow raises almost anything
        return 1


def _as_rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        least, most = image.getchannel("A").getextrema()
        if least != most:  # else it tells nothing: frame grabbers leave it at 0
            black = Image.new("RGBA", image.size, (0, 0, 0, 255))
            image = Image.alpha_composite(black, image)
    return np.asarray(image.convert("RGB"))


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image of a known format (JPEG, PNG, BMP, TIFF, WebP, PBM, PGM, PPM)"
    if isinstance(error, MemoryError):
        return "too large for this machine's memory"
    text = " ".join(str(error).split())[:160] or type(error).__name__
    return f"damaged: {text}"
