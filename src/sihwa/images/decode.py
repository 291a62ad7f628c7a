"""From an image file's bytes to one uint8 RGB array, the same way everywhere.

Axes: H and W image size in pixels.
"""

import contextlib
import io
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from sihwa.errors import UnreadableImage
from sihwa.images.complete import require_all_rows, require_all_strips

IMAGE_FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "PPM")
MAX_PIXELS = 100_000_000
"""Larger images are refused before they are decoded: a small file can claim any size."""
MAX_PAGES = 1_000
"""A TIFF of more pages is refused: a small file can claim any number."""

_PHONE_JPEG = "MPO"
"""Pillow's name for a JPEG with more JPEGs behind it, in CIPA's Multi-Image Format."""
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
"""How a stored image becomes upright, by its Exif orientation; see Exif 2.3, tag 274."""


class _Quiet:
    """Keeps the decoder's warnings from the caller, whose fault they are not; what matters raises.

    Which warnings are shown is a matter of the whole process, so threads that decode at one time
    share one change of it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._before = warnings.catch_warnings()
                self._before.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._before.__exit__(None, None, None)


_quiet = _Quiet()


def decode_image(content: bytes, path: str, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode an image.

    Grey is repeated in all three channels. 16-bit grey is divided by 257 and rounded, so that white
    stays white; of 16-bit colour, PNG and TIFF give the upper byte. What is transparent is laid
    over black. CMYK and palettes become RGB. The orientation that a camera noted (EXIF) is applied.

    Args:
        content: The file: JPEG, PNG, BMP, TIFF, WebP or PBM/PGM/PPM.
        path: Where it came from, for messages.
        max_pixels: Largest allowed H × W.

    Returns:
        The image, (H, W, 3), uint8 RGB, C-contiguous.

    Raises:
        UnreadableImage: Empty, damaged, truncated, too large, of several pages, of another format.
    """
    with _opened(content, path, max_pixels) as image:
        pages = _count_pages(image, path)
        if pages > 1:
            raise UnreadableImage(path, f"holds {pages} pages; one image per file is expected")
        return _decode(image, content, path, max_pixels)


class Page(NamedTuple):
    """One page of a TIFF, or the one image of another file."""

    image: NDArray[np.uint8] | UnreadableImage
    """As `decode_image` gives it, or why it cannot be read."""
    number: int | None = None
    """From 1; None where the file holds one image."""
    of: int | None = None
    """Pages in the file; None where it holds one image."""


def decode_pages(content: bytes, path: str, max_pixels: int = MAX_PIXELS) -> Iterator[Page]:
    """Decode every page of a TIFF, or the one image of any other file, as `decode_image` does.

    Args:
        content: The file.
        path: Where it came from, for messages.
        max_pixels: Largest allowed H × W of a page.

    Yields:
        A page at a time; a file that cannot be opened at all gives one, with the reason.
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


def _count_pages(image: Image.Image, path: str) -> int:
    """Count the pages, or moving images, of a file; of a TIFF no more than are allowed.

    What a phone keeps behind its JPEG, a gain map or a small preview, is not another image.
    Pillow counts in a time that grows with their square: 40,000 take minutes.
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
        Image.MAX_IMAGE_PIXELS = max_pixels  # Pillow has a limit of its own, for the whole process
    with (
        _damage_refused(path),
        _quiet,
        Image.open(io.BytesIO(content), formats=IMAGE_FORMATS) as image,
    ):
        yield image


@contextlib.contextmanager
def _damage_refused(path: str) -> Iterator[None]:
    try:
        yield
    except UnreadableImage:
        raise
    except Exception as error:
        # hostile bytes make decoders raise almost anything; every one of them means this
        raise UnreadableImage(path, _reason(error)) from error


def _decode(image: Image.Image, content: bytes, path: str, max_pixels: int) -> NDArray[np.uint8]:
    width, height = image.size
    if width * height > max_pixels:
        raise UnreadableImage(
            path, f"{width} x {height} pixels are more than the {max_pixels} allowed"
        )
    if image.format in ("JPEG", _PHONE_JPEG) and _is_sampled_as_usual(image):
        return _decode_jpeg(image, content)
    if image.format == "PNG":
        require_all_rows(content, path)
    if image.format == "TIFF":
        require_all_strips(getattr(image, "tag_v2", {}), path)
    image.load()
    pixels = _as_rgb(image, path)
    turn = _TURNS.get(_orientation(image))
    return np.ascontiguousarray(pixels if turn is None else turn(pixels))


def _is_sampled_as_usual(image: Image.Image) -> bool:
    """Say whether TurboJPEG takes a JPEG: of four inks, black as fine as the first, or it does not.

    Others are left to Pillow, which hides what libjpeg warns of.
    """
    if image.mode != "CMYK":
        return True
    first, *between, black = (sampling for _, *sampling, _ in getattr(image, "layer", ()))
    return first == black and all(sampling == [1, 1] for sampling in between)


def _decode_jpeg(image: Image.Image, content: bytes) -> NDArray[np.uint8]:
    """Decode a JPEG; what the decoder merely warns of is refused as damage."""
    height, width = simplejpeg.decode_jpeg_header(content)[:2]
    if (width, height) != image.size:  # it would not be held to the limit on pixels
        raise ValueError(f"two sizes, {width} x {height} and {image.width} x {image.height}")
    if image.mode == "CMYK":  # stored as what the inks leave, as Adobe does
        inks = 255 - simplejpeg.decode_jpeg(content, "CMYK")
        pixels = np.array(Image.fromarray(inks, mode="CMYK").convert("RGB"))
    else:
        pixels = simplejpeg.decode_jpeg(content, "RGB")
    turn = _TURNS.get(_orientation(image))
    return pixels if turn is None else np.ascontiguousarray(turn(pixels))


def _orientation(image: Image.Image) -> int:
    """Return how a camera noted that it was held; 1, upright, where its note is damaged."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # as with pixels, hostile bytes make it raise almost anything
        return 1


def _as_rgb(image: Image.Image, path: str) -> NDArray[np.uint8]:
    tags: Any = getattr(image, "tag_v2", {})  # of a page of a TIFF
    if _SIGNED in tags.get(_SAMPLE_FORMAT, ()) or (tags and image.mode == "I"):
        raise UnreadableImage(
            path, "signed or 32-bit pixels have no agreed white; save as 16-bit without sign"
        )
    if image.mode in _SIXTEEN_BIT or image.mode == "I":
        white = 2 ** max(tags.get(_BITS, (16,))) - 1
        # Pillow turns such a negative by itself up to 8 bits, and not beyond
        negative = tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
        return _from_sixteen_bit(np.asarray(image), white, negative)
    if image.mode == "F":
        raise UnreadableImage(path, "floating-point pixels have no agreed white; save as 16-bit")
    if image.has_transparency_data:
        opaque = image.convert("RGBA")
        black = Image.new("RGBA", opaque.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, opaque)
    return np.asarray(image.convert("RGB"))


def _from_sixteen_bit(pixels: NDArray[np.integer], white: int, negative: bool) -> NDArray[np.uint8]:
    """Return values from 0 to `white` as grey from 0 to 255, rounded to the nearest."""
    wide = pixels.astype(np.int32)
    if negative:
        wide = white - wide
    grey = ((255 * wide + white // 2) // white).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image of a known format (JPEG, PNG, BMP, TIFF, WebP, PBM, PGM, PPM)"
    if isinstance(error, Image.DecompressionBombError):
        return "its pixels are more than are allowed"
    if isinstance(error, MemoryError):
        return "too large for this machine's memory"
    text = " ".join(str(error).split())[:160] or type(error).__name__
    return f"damaged: {text}"
