"""Checks that a file holds all its pixels, for formats where decoders fill in missing ones."""

import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from sihwa.errors import UnreadableImage

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_SAMPLES_PER_PIXEL, _STRIP_BYTES, _TILE_BYTES = 277, 279, 325
_YCBCR = 6
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples per pixel by colour type; PNG (ISO/IEC 15948), 11.2.2."""
_ADAM7 = (
    (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8),
    (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2),
)  # fmt: skip
"""Passes of an interlaced PNG: first column and row, column and row step; section 8.2."""


def require_all_rows(content: bytes, path: str) -> None:
    """Refuse a PNG whose compressed data ends before its last row: Pillow leaves those rows black.

    Pillow must have read its header. `path` is for messages.
    """
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", content[16:29])
    bits = depth * _SAMPLES[colour]
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    expected = sum(_size_of_pass(width, height, bits, *each) for each in passes)
    found = _unpacked_size(content, expected)
    if found < expected:
        raise UnreadableImage(path, f"damaged: {found} bytes of pixels instead of {expected}")


def require_all_strips(tags: Mapping[int, Any], path: str) -> None:
    """Refuse an uncompressed TIFF page whose strips or tiles hold fewer bytes than its pixels.

    Pillow takes the bytes behind them for pixels. `tags` are those of TIFF 6.0.
    """
    sizes = tags.get(_STRIP_BYTES) or tags.get(_TILE_BYTES)
    if tags.get(_COMPRESSION, 1) != 1 or tags.get(_PHOTOMETRIC) == _YCBCR or not sizes:
        return
    bits = tags.get(_BITS, (1,))
    row = (int(tags[_WIDTH]) * max(sum(bits), tags.get(_SAMPLES_PER_PIXEL, 1) * bits[0]) + 7) // 8
    expected = int(tags[_HEIGHT]) * row
    if sum(sizes) < expected:
        raise UnreadableImage(path, f"damaged: {sum(sizes)} bytes of pixels instead of {expected}")


def _size_of_pass(
    width: int, height: int, bits: int, left: int, top: int, across: int, down: int
) -> int:
    """Return the bytes of a pass: a filter byte and the pixels for each row."""
    columns = max(0, -(-(width - left) // across))
    rows = max(0, -(-(height - top) // down))
    return rows * (1 + (columns * bits + 7) // 8) if columns else 0


def _unpacked_size(content: bytes, limit: int) -> int:
    """Return how many bytes the image data unpacks to, counting up to `limit`."""
    unpack = zlib.decompressobj()
    found = 0
    for data in _image_data(content):
        while data and found < limit and not unpack.eof:
            found += len(unpack.decompress(data, min(limit - found, 2**20)))
            data = unpack.unconsumed_tail
    return found


def _image_data(content: bytes) -> Iterator[bytes]:
    place = 8
    while place + 8 <= len(content):
        length, name = struct.unpack(">I4s", content[place : place + 8])
        if name == b"IDAT":
            yield content[place + 8 : place + 8 + length]
        place += length + 12
