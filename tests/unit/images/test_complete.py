import struct

import numpy as np
import pytest
from PIL import Image

from sihwa.errors import UnreadableImage
from sihwa.images import decode_image
from tests.unit.images.forge import raw_png, saved, tiff

SIZES = [(1, 1), (2, 3), (5, 4), (8, 8), (9, 17), (33, 2)]
KINDS = [(0, 1), (0, 8), (0, 16), (2, 8), (3, 4), (4, 16), (6, 8)]
"""Colour type and depth."""
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


PALETTE = (b"PLTE", bytes(range(48)))


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize(("colour", "depth"), KINDS)
def test_decode_image_png_needs_all_its_rows(
    width: int, height: int, colour: int, depth: int
) -> None:
    row = b"\0" + bytes((width * depth * SAMPLES[colour] + 7) // 8)
    whole = row * height
    extra = [PALETTE] if colour == 3 else []
    content = raw_png((width, height), depth, colour, whole, *extra)
    assert decode_image(content, "a.png").shape[0] == height
    for lost in (1, len(row), len(whole)):
        content = raw_png((width, height), depth, colour, whole[:-lost], *extra)
        with pytest.raises(UnreadableImage, match=r"a\.png: damaged: "):
            decode_image(content, "a.png")


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_decode_image_interlaced_png_needs_all_its_passes(width: int, height: int) -> None:
    grey = np.random.default_rng(width).integers(0, 256, (height, width), dtype=np.uint8)
    passes = [
        # ISO/IEC 15948, 8.2: the pixels of a pass, as slices
        grey[0::8, 0::8], grey[0::8, 4::8], grey[4::8, 0::4], grey[0::4, 2::4],
        grey[2::4, 0::2], grey[0::2, 1::2], grey[1::2, :],
    ]  # fmt: skip
    whole = b"".join(b"\0" + row.tobytes() for pixels in passes if pixels.size for row in pixels)
    image = decode_image(raw_png(grey.T.shape, 8, 0, whole, interlaced=1), "a.png")
    np.testing.assert_array_equal(image[:, :, 1], grey)
    with pytest.raises(UnreadableImage, match=f"{len(whole) - 1} bytes of pixels instead of"):
        decode_image(raw_png(grey.T.shape, 8, 0, whole[:-1], interlaced=1), "a.png")


@pytest.mark.parametrize("order", ["<", ">"])
def test_decode_image_uncompressed_tiff_needs_all_its_strips(order: str) -> None:
    content = tiff(8, bytes([10, 20, 30]), order=order)
    height = struct.pack(f"{order}HHIH", 257, 3, 1, 1)
    assert decode_image(content, "a.tif").shape == (1, 3, 3)
    assert content.count(height) == 1
    taller = content.replace(height, struct.pack(f"{order}HHIH", 257, 3, 1, 2)) + b"of others"
    with pytest.raises(UnreadableImage, match="damaged: 3 bytes of pixels instead of 6"):
        decode_image(taller, "a.tif")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("compression", [None, "tiff_lzw", "packbits"])
def test_decode_image_whole_tiff_of_any_kind_is_accepted(
    mode: str, compression: str | None
) -> None:
    for width, height in [*SIZES, (300, 200)]:
        grey = Image.new("L", (width, height), 90)
        image = Image.new("I;16", grey.size, 9000) if mode == "I;16" else grey.convert(mode)
        content = saved(image, "TIFF", compression=compression)
        assert decode_image(content, "a.tif").shape == (height, width, 3)
