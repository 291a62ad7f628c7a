import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from sihwa.errors import UnreadableImage
from sihwa.images import Decoding, decode_image, decode_pages
from tests.unit.images.forge import BMP, png, saved, tiff

NOISE = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
UNKNOWN = "a.png: not an image of a known format"
GREY = Image.new("L", (2, 2), 7)
MANY = {"save_all": True, "append_images": [Image.new("L", (2, 2), 250)]}


SIGNED = "a.png: signed or 32-bit"
REFUSED = {
    "empty": (b"", "a.png: empty file$"),
    "text": (b"not an image", UNKNOWN),
    "png, only the signature": (b"\x89PNG\r\n\x1a\n", "a.png: "),
    "gif": (saved(GREY, "GIF"), UNKNOWN),
    "ico": (saved(GREY, "ICO"), UNKNOWN),
    "tga": (saved(GREY, "TGA"), UNKNOWN),
    "eps": (saved(GREY.convert("RGB"), "EPS"), UNKNOWN),
    "psd": (b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 1, 1, 1, 8, 1) + bytes(15), UNKNOWN),
    "tiff pages": (saved(GREY, "TIFF", **MANY), "a.png: holds 2 pages; one"),
    "animated png": (saved(GREY, "PNG", **MANY), "a.png: holds 2 pages; one"),
    "animated webp": (saved(GREY, "WEBP", **MANY), "a.png: holds 2 pages; one"),
    "float tiff": (tiff(32, struct.pack("<2f", 0, 1), sample=3), "a.png: floating-point pixels"),
    "float pfm": (b"Pf\n1 1\n-1.0\n\0\0\0\0", "a.png: floating-point pixels"),
    "uint32, 65536": (tiff(32, b"\0\0\1\0"), SIGNED),
    "uint32, 255": (tiff(32, b"\xff\0\0\0"), SIGNED),
    "int32": (tiff(32, b"\xff\0\0\0", sample=2), SIGNED),
    "int16, -1": (tiff(16, b"\xff\xff", sample=2), SIGNED),
    "int16, 255": (tiff(16, b"\xff\0", sample=2), SIGNED),
    "int8": (tiff(8, b"\7", sample=2), SIGNED),
    "png, unknown colour type": (png(1, 8, 9, [b"\0"]), "a.png: "),
    "png, wrong checksum": (
        png(1, 8, 0, [b"\0"]).replace(b"IHDR\0\0\0\1", b"IHDR\0\0\0\2"), "a.png: ",
    ),
    "no pixel": (b"P5 0 0 255\n", "a.png: "),
    "negative width": (b"P5 -1 1 255\n\0", "a.png: "),
    # none of these holds a pixel: a decoder that began would call it truncated
    "huge": (b"P6 10001 10000 255\n", "10001 x 10000 pixels are more than the"),
    "huge pgm": (b"P5 2147483647 2147483647 255\n", "2147483647 x 2147483647 pixels are"),
    "huge bmp": (
        BMP[:18] + struct.pack("<ii", 50_000, 50_000) + BMP[26:],
        "50000 x 50000 pixels are more than the",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_decode_image_unusable_file_is_refused(name: str) -> None:
    content, reason = REFUSED[name]
    with pytest.raises(UnreadableImage, match=reason) as caught:
        decode_image(content, "a.png")
    assert caught.value.path == "a.png"
    assert "\n" not in caught.value.reason


def test_decode_pages_too_many_are_refused_without_counting_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = tiff(8, b"\7\7")
    directory = first[8:142]  # 11 tags; then where the next one begins
    ends = [142 + 4 + 2 + 138 * number for number in range(3001)]
    content = first[:142] + struct.pack("<I", ends[0]) + first[146:]
    content += b"".join(directory + struct.pack("<I", end) for end in ends[1:-1])
    content += directory + bytes(4)
    sought = []
    seek = TiffImageFile._seek

    def counting(image: TiffImageFile, page: int) -> None:
        sought.append(page)
        seek(image, page)

    monkeypatch.setattr(TiffImageFile, "_seek", counting)
    [page] = decode_pages(content, "a.tif")
    assert str(page.image) == "a.tif: more pages than the 1000 allowed"
    with pytest.raises(UnreadableImage, match=r"a\.tif: more pages than the 1000 allowed"):
        decode_image(content, "a.tif")
    assert max(sought) == 1000
    assert len(sought) < 2100


def test_decode_image_more_pixels_than_allowed_are_refused() -> None:
    content = saved(Image.fromarray(NOISE), "PNG")
    assert decode_image(content, "a.png", Decoding(63)).shape == (9, 7, 3)
    with pytest.raises(UnreadableImage, match=r"a.png: 7 x 9 pixels are more than the 62 allowed"):
        decode_image(content, "a.png", Decoding(62))


def test_decode_image_limit_may_exceed_that_of_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    content = saved(Image.fromarray(NOISE), "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)  # the decoder refuses twice as much
    with pytest.raises(UnreadableImage, match="7 x 9 pixels are more than the 20"):
        decode_image(content, "a.png", Decoding(20))
    assert decode_image(content, "a.png", Decoding(63)).shape == (9, 7, 3)


def test_decode_image_out_of_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(UnreadableImage, match=r"a.png: too large for this machine's memory"):
        decode_image(b"x", "a.png")


WHOLE = {
    "png": png(7, 8, 2, [line.tobytes() for line in NOISE]),
    "jpeg": saved(Image.fromarray(NOISE), "JPEG"),
    "progressive": saved(Image.fromarray(NOISE), "JPEG", progressive=True),
    "tiff": saved(Image.fromarray(NOISE), "TIFF"),
    "lzw": saved(Image.fromarray(NOISE), "TIFF", compression="tiff_lzw"),
    "webp": saved(Image.fromarray(NOISE), "WEBP"),
    "ppm": saved(Image.fromarray(NOISE), "PPM"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_decode_image_truncated_file_is_refused(name: str) -> None:
    content = WHOLE[name]
    # the last pixel of the PNG is followed by 8 bytes of checksums and 12 of its end mark
    needed = len(content) - (20 if name == "png" else 0)
    for length in range(1, needed):
        with pytest.raises(UnreadableImage, match=r"a.png: (damaged|not an image)"):
            decode_image(content[:length], "a.png")


def refuses_or_decodes(content: bytes) -> None:
    try:
        image = decode_image(content, "a.png", Decoding(10_000))
    except UnreadableImage as error:
        assert str(error).startswith("a.png: ")  # noqa: PT017
    else:
        assert image.shape[2] == 3
        assert image.dtype == np.uint8


STARTS = (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe1", b"II*\0\x08\0\0\0", b"MM\0*", b"BM",
          b"RIFF\xff\0\0\0WEBP", b"P5 ", b"P2 9 9 ", BMP[:30], WHOLE["jpeg"][:200])  # fmt: skip


@settings(deadline=None)
@given(st.sampled_from(STARTS), st.binary(max_size=200))
def test_decode_image_random_bytes_raise_nothing_else(start: bytes, rest: bytes) -> None:
    refuses_or_decodes(start + rest)


@settings(deadline=None)
@given(
    st.sampled_from(sorted(WHOLE)), st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)))
)
def test_decode_image_changed_bytes_raise_nothing_else(
    name: str, changes: list[tuple[int, int]]
) -> None:
    content = bytearray(WHOLE[name])
    for place, value in changes:
        content[place % len(content)] = value
    refuses_or_decodes(bytes(content))


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_decode_image_jpeg_with_a_decoder_warning_is_refused(mode: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    content = bytearray(saved(Image.fromarray(pixels).convert(mode), "JPEG", quality=95))
    content[len(content) // 2 : len(content) // 2 + 40] = bytes(40)
    with Image.open(io.BytesIO(content)) as lenient:
        lenient.load()  # other readers show something here
    with pytest.raises(UnreadableImage, match=r"a\.png: damaged: .*JPEG"):
        decode_image(bytes(content), "a.png")
