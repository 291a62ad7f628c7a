import struct

import numpy as np
import pytest
from numpy.typing import NDArray

from sihwa.errors import ConfigError, UnreadableImage
from sihwa.images import (
    Decoding,
    Levels,
    decode_image,
    decode_with_levels,
    parse_white,
    read_levels,
)
from tests.unit.images.forge import BMP, png, tiff

TEN_BITS = Decoding(white=(0, 1023))
HEIGHT = Decoding(white=(-1.0, 3.0))


def grey_of(content: bytes, decoding: Decoding) -> list[int]:
    """Return the one row of an image whose channels are the same."""
    image = decode_image(content, "a.png", decoding)
    assert (image == image[..., :1]).all()
    return [int(value) for value in image[0, :, 0]]


def floats(*values: float) -> bytes:
    return tiff(32, struct.pack(f"<{len(values)}f", *values), sample=3)


SCALED = {
    "png": (png(4, 16, 0, [struct.pack(">4H", 0, 511, 1023, 1024)]), TEN_BITS, [0, 127, 255, 255]),
    "tiff": (tiff(16, struct.pack("<3H", 0, 512, 1023)), TEN_BITS, [0, 128, 255]),
    "negative": (tiff(16, struct.pack("<2H", 0, 1023), photometric=0), TEN_BITS, [255, 0]),
    "range": (tiff(16, struct.pack("<2H", 500, 1500)), Decoding(white=(500, 1500)), [0, 255]),
    "pgm": (b"P5 2 1 65535\n\x03\xff\0\0", TEN_BITS, [255, 0]),
    "pgm that states 12 bits": (b"P5 2 1 4095\n\x0f\xff\x03\xff", TEN_BITS, [255, 64]),
    "tiff of 12 bits": (tiff(12, b"\xff\xf0\x10\x7f\xf0\0"), TEN_BITS, [255, 1, 127, 0]),
    "8 bits": (png(3, 8, 0, [bytes([0, 7, 255])]), TEN_BITS, [0, 7, 255]),
    "float": (floats(-1, 0, 1, 3), HEIGHT, [0, 64, 128, 255]),
    "float outside": (floats(-9, 9, np.inf, -np.inf), HEIGHT, [0, 255, 255, 0]),
    "float, not measured": (floats(3, np.nan), HEIGHT, [255, 0]),
    "pfm": (b"Pf\n2 1\n-1.0\n" + struct.pack("<2f", -1, 3), HEIGHT, [0, 255]),
    "int16": (tiff(16, struct.pack("<2h", -1, 3), sample=2), HEIGHT, [0, 255]),
    "int32": (tiff(32, struct.pack("<2i", -1, 3), sample=2), HEIGHT, [0, 255]),
    "uint32": (tiff(32, b"\xff\xff\xff\xff"), Decoding(white=(0, 2**32 - 1)), [255]),
    "int8": (tiff(8, b"\xff\x03", sample=2), HEIGHT, [0, 255]),
}


@pytest.mark.parametrize("name", SCALED)
def test_decode_image_stated_white_scales_wide_values(name: str) -> None:
    content, decoding, expected = SCALED[name]
    assert grey_of(content, decoding) == expected


def test_decode_image_stated_white_is_rounded_to_nearest() -> None:
    values: NDArray[np.int64] = np.arange(4096)
    content = png(4096, 16, 0, [values.astype(">u2").tobytes()])
    expected = np.rint(values / 4095 * 255).astype(int).tolist()
    assert grey_of(content, Decoding(white=(0, 4095))) == expected


@pytest.mark.parametrize("colour", [2, 4, 6])
def test_decode_image_16_bit_colour_with_a_stated_white_is_refused(colour: int) -> None:
    content = png(1, 16, colour, [b"\3" * 2 * {2: 3, 4: 2, 6: 4}[colour]])
    decode_image(content, "a.png")
    with pytest.raises(UnreadableImage, match="16-bit colour; save it as 8-bit"):
        decode_image(content, "a.png", TEN_BITS)


def test_decode_image_float_refusal_names_setting_and_values() -> None:
    with pytest.raises(UnreadableImage, match=r"from 0\.5 to 1\.5, .* dataset\.white=\[LOW,HIGH\]"):
        decode_image(floats(0.5, 1.5, np.nan), "a.tif")


def test_decode_with_levels_tells_values_beyond_8_bits() -> None:
    def levels(content: bytes) -> Levels | None:
        return decode_with_levels(content, "a.png")[1]

    assert levels(png(2, 16, 0, [struct.pack(">2H", 7, 1003)])) == Levels(7, 1003)
    assert levels(png(1, 16, 2, [struct.pack(">3H", 256, 600, 1003)])) == Levels(256, 768, True)
    assert levels(BMP) is None


def test_read_levels_decodes_only_wide_grey() -> None:
    assert read_levels(tiff(16, struct.pack("<2H", 7, 1003)), "a.tif") == Levels(7, 1003)
    whole = png(2, 8, 0, [b"\0\0"])
    assert read_levels(whole[:-30], "a.png") is None  # its pixels are missing


@pytest.mark.parametrize(
    ("setting", "white"),
    [
        (None, None),
        (4095, (0, 4095)),
        (1.5, (0, 1.5)),
        ([-2, 2], (-2, 2)),
        ("1023", (0, 1023)),
        ("[-1, 3e2]", (-1, 300)),
    ],
)
def test_parse_white_gives_black_and_white(
    setting: object, white: tuple[float, float] | None
) -> None:
    assert parse_white(setting, "white") == white


@pytest.mark.parametrize(
    "setting",
    [
        0,
        -1,
        "x",
        "[4]",
        "true",
        "NaN",
        [5],
        [5, 5],
        [1, 2, 3],
        ["a", "b"],
        float("nan"),
        [0, float("inf")],
        {},
    ],
)
def test_parse_white_of_no_range_is_refused(setting: object) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.white must be null, auto"):
        parse_white(setting, "dataset.white")
