import io
import struct

import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageCms, TiffImagePlugin

from sihwa.errors import UnreadableImage
from sihwa.images import decode_image, decode_pages
from tests.unit.images.forge import BMP, exif, png, saved, tiff

NOISE = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)


def blocks(values: list[list[object]]) -> NDArray[np.uint8]:
    """Return flat squares of 8 x 8, which a JPEG of the best quality holds without loss."""
    return np.array(values, np.uint8).repeat(8, axis=0).repeat(8, axis=1)


def row(*pixels: object) -> NDArray[np.uint8]:
    """Return one row of pixels; a number is grey."""
    return np.array([[p if isinstance(p, tuple) else (p,) * 3 for p in pixels]], np.uint8)


def check(content: bytes, expected: NDArray[np.uint8]) -> None:
    image = decode_image(content, "a.png")
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    assert image.ndim == 3
    np.testing.assert_array_equal(image, expected, strict=True)


def rgb_of(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.stack([grey] * 3, axis=2)


PALETTE = (b"PLTE", bytes([200, 100, 50, 10, 20, 30, 255, 255, 255]))


EXACT = {
    "png grey": (png(3, 8, 0, [bytes([0, 7, 255])]), row(0, 7, 255)),
    "png": (png(2, 8, 2, [bytes([1, 2, 3, 4, 5, 6])]), row((1, 2, 3), (4, 5, 6))),
    "png 1-bit": (png(8, 1, 0, [b"\xa1"]), row(255, 0, 255, 0, 0, 0, 0, 255)),
    "png 2-bit": (png(4, 2, 0, [b"\x1b"]), row(0, 85, 170, 255)),
    "palette": (
        png(3, 8, 3, [b"\2\0\1"], PALETTE), row(255, (200, 100, 50), (10, 20, 30)),
    ),
    # half of 200, 100, 50 is 100.4, 50.2, 25.1
    "transparent palette": (
        png(3, 8, 3, [b"\0\1\2"], PALETTE, (b"tRNS", bytes([128, 0]))), row((100, 50, 25), 0, 255),
    ),
    "png LA": (png(3, 8, 4, [bytes([255, 255, 255, 0, 200, 128])]), row(255, 0, 100)),
    "png RGBA": (
        png(3, 8, 6, [bytes([9, 8, 7, 255, 255, 255, 255, 0, 255, 0, 50, 128])]),
        row((9, 8, 7), 0, (128, 0, 25)),
    ),
    "transparent grey": (png(2, 8, 0, [bytes([255, 7])], (b"tRNS", b"\0\xff")), row(0, 7)),
    "transparent colour": (
        png(2, 8, 2, [bytes([9, 8, 7, 6, 5, 4])], (b"tRNS", b"\0\x09\0\x08\0\x07")),
        row(0, (6, 5, 4)),
    ),
    "png 16-bit RGB": (
        png(2, 16, 2, [struct.pack(">6H", 255, 256, 511, 512, 0x80FF, 65535)]),
        row((0, 1, 1), (2, 128, 255)),
    ),
    "png 16-bit RGBA": (
        png(2, 16, 6, [struct.pack(">8H", *[65535] * 4, *[65535] * 3, 0)]), row(255, 0),
    ),
    "png 16-bit LA": (png(2, 16, 4, [struct.pack(">4H", 65535, 65535, 65535, 0)]), row(255, 0)),
    "bmp": (BMP, np.array([[[3, 2, 1], [6, 5, 4]], [[9, 8, 7], [12, 11, 10]]], np.uint8)),
    "tiff 8-bit": (tiff(8, bytes([0, 7, 255])), row(0, 7, 255)),
    "tiff 16-bit": (tiff(16, struct.pack("<3H", 0, 771, 65535)), row(0, 3, 255)),
    "tiff MM": (tiff(16, struct.pack(">3H", 0, 771, 65535), order=">"), row(0, 3, 255)),
    "tiff 8-bit negative": (tiff(8, bytes([0, 7, 255]), photometric=0), row(255, 248, 0)),
    "tiff 16-bit negative": (
        tiff(16, struct.pack("<3H", 0, 771, 65535), photometric=0), row(255, 252, 0),
    ),
    "tiff 12-bit": (tiff(12, b"\xff\xf0\x10\x7f\xf0\0"), row(255, 1, 127, 0)),
    "tiff upside down": (tiff(8, b"\1\2\3", turned=3), row(3, 2, 1)),
    "pgm": (b"P5 3 1 255\n\0\7\xff", row(0, 7, 255)),
    "pgm as text": (b"P2\n# made\n3 1\n255\n0 7 255\n", row(0, 7, 255)),
    "pgm 16-bit": (b"P5 2 1 65535\n\xff\xff\3\3", row(255, 3)),
    "pgm 12-bit": (b"P5 2 1 4095\n\x0f\xff\0\0", row(255, 0)),
    "ppm": (b"P6 2 1 255\n\1\2\3\4\5\6", row((1, 2, 3), (4, 5, 6))),
    "pbm, 1 is black": (b"P4 8 1\n\x0f", row(*[255] * 4, *[0] * 4)),
}  # fmt: skip


@pytest.mark.parametrize("name", EXACT)
def test_decode_image_each_format_gives_the_exact_pixels(name: str) -> None:
    check(*EXACT[name])


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_adobe_deflate"}),
        ("PNG", {"optimize": True}),
        ("BMP", {}),
    ],
)
def test_decode_image_lossless_format_keeps_noise(kind: str, options: dict[str, object]) -> None:
    check(saved(Image.fromarray(NOISE), kind, **options), NOISE)


def test_decode_image_transparent_webp_is_blended_with_black() -> None:
    pixels = np.array([[[200, 100, 50, 128], [9, 8, 7, 0], [9, 8, 7, 255]]], np.uint8)
    content = saved(Image.fromarray(pixels), "WEBP", lossless=True, exact=True)
    check(content, row((100, 50, 25), 0, (9, 8, 7)))


def test_decode_image_16_bit_grey_is_rounded_to_nearest() -> None:
    values = np.arange(65536).reshape(256, 256)
    content = png(256, 16, 0, [line.astype(">u2").tobytes() for line in values])
    check(content, rgb_of(np.rint(values / 65535 * 255).astype(np.uint8)))


def test_decode_image_opacity_is_rounded_to_nearest() -> None:
    value, opacity = np.meshgrid(np.arange(256), np.arange(256))
    pixels = np.stack([value, opacity], axis=2).astype(np.uint8)
    content = png(256, 8, 4, [line.tobytes() for line in pixels])
    check(content, rgb_of(np.rint(value * opacity / 255).astype(np.uint8)))


def test_decode_image_jpeg_gives_rgb() -> None:
    # JFIF: red is Y 76, Cb 85, Cr 255, which is red 254.05; blue is 29, 255, 107, or blue 254.04;
    # white and black are exact.
    red, blue, white = (255, 0, 0), (0, 0, 255), (255, 255, 255)
    image = Image.fromarray(blocks([[red, blue], [white, (0, 0, 0)]]))
    content = saved(image, "JPEG", quality=100, subsampling=0)
    check(content, blocks([[(254, 0, 0), (0, 0, 254)], [white, (0, 0, 0)]]))


def test_decode_image_phone_jpeg_gives_its_first_image() -> None:
    first, second = (Image.fromarray(np.full((24, 32, 3), level, np.uint8)) for level in (90, 200))
    phone, plain = io.BytesIO(), io.BytesIO()
    first.save(phone, "MPO", save_all=True, append_images=[second], quality=95)
    first.save(plain, "JPEG", quality=95)
    assert Image.open(io.BytesIO(phone.getvalue())).format == "MPO"
    expected = decode_image(plain.getvalue(), "p.jpg")
    np.testing.assert_array_equal(decode_image(phone.getvalue(), "p.jpg"), expected)
    (page,) = decode_pages(phone.getvalue(), "p.jpg")
    assert page.number is None
    np.testing.assert_array_equal(page.image, expected)


def test_decode_image_cmyk_jpeg_is_not_a_negative() -> None:
    none, all_four = (0, 0, 0, 0), (255, 255, 255, 255)
    cyan, magenta, yellow, black = (tuple(255 * (i == k) for i in range(4)) for k in range(4))
    inks = Image.fromarray(blocks([[none, cyan, magenta], [yellow, black, all_four]]), mode="CMYK")
    content = saved(inks, "JPEG", quality=100)
    assert b"Adobe" in content
    expected = [
        [(255, 255, 255), (0, 255, 255), (255, 0, 255)],
        [(255, 255, 0), (0, 0, 0), (0, 0, 0)],
    ]
    check(content, blocks([list(line) for line in expected]))


@pytest.mark.parametrize("transform", [0, 2, None], ids=["CMYK", "YCCK", "no Adobe mark"])
@pytest.mark.parametrize("subsampling", ["444", "422", "420", None])
@pytest.mark.parametrize("size", [(64, 48), (61, 47), (1, 1), (8, 300)])
def test_decode_image_cmyk_jpeg_equals_pillow(
    size: tuple[int, int], subsampling: str | None, transform: int | None
) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (6, 5, 4), dtype=np.uint8)
    inks = Image.fromarray(noise, mode="CMYK").resize(size, Image.Resampling.BICUBIC)
    if subsampling is None:  # only the first ink is finer, which TurboJPEG refuses
        content = bytearray(saved(inks, "JPEG", quality=83, subsampling=2))
    else:
        content = bytearray(simplejpeg.encode_jpeg(np.array(inks), 83, "CMYK", subsampling))
    mark = content.index(b"Adobe")
    if transform is None:
        del content[mark - 4 : mark + 12]
    else:
        content[mark + 11] = transform
    with Image.open(io.BytesIO(content)) as opened:
        check(bytes(content), np.asarray(opened.convert("RGB")))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        # Exif 2.3, tag 274: where the stored first row and first column belong on the upright image
        (1, [[10, 90, 170], [50, 130, 210]]),  # top, left
        (2, [[170, 90, 10], [210, 130, 50]]),  # top, right
        (3, [[210, 130, 50], [170, 90, 10]]),  # bottom, right
        (4, [[50, 130, 210], [10, 90, 170]]),  # bottom, left
        (5, [[10, 50], [90, 130], [170, 210]]),  # left, top
        (6, [[50, 10], [130, 90], [210, 170]]),  # right, top
        (7, [[210, 170], [130, 90], [50, 10]]),  # right, bottom
        (8, [[170, 210], [90, 130], [10, 50]]),  # left, bottom
        (0, [[10, 90, 170], [50, 130, 210]]),  # not defined
    ],
)
def test_decode_image_camera_orientation_is_applied(
    kind: str, orientation: int, expected: list[list[object]]
) -> None:
    stored = rgb_of(blocks([[10, 90, 170], [50, 130, 210]]))
    lossless = {"lossless": True} if kind == "WEBP" else {"quality": 100}
    content = saved(Image.fromarray(stored), kind, exif=exif(orientation), **lossless)
    check(content, rgb_of(blocks(expected)))


@pytest.mark.parametrize(
    "note", [b"Exif\0\0", b"Exif\0\0junk", b"Exif\0\0II*\0\x08\0\0\0\5\0", exif(6)[:-12]]
)
def test_decode_image_damaged_exif_leaves_the_image_as_stored(note: bytes) -> None:
    grey = blocks([[10, 200]])
    check(saved(Image.fromarray(grey), "JPEG", quality=100, exif=note), rgb_of(grey))
    check(saved(Image.fromarray(grey), "PNG", exif=note), rgb_of(grey))
    check(saved(Image.fromarray(rgb_of(grey)), "WEBP", lossless=True, exif=note), rgb_of(grey))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("size", [(64, 48), (61, 47), (1, 1), (8, 300)])
def test_decode_image_jpeg_equals_pillow(
    size: tuple[int, int], subsampling: int, progressive: bool
) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
    for mode in ("RGB", "L"):
        content = saved(
            image.convert(mode), "JPEG", quality=83, subsampling=subsampling,
            progressive=progressive,
        )  # fmt: skip
        with Image.open(io.BytesIO(content)) as opened:
            check(content, np.asarray(opened.convert("RGB")))


def test_decode_image_constant_alpha_is_ignored() -> None:
    for alpha in (0, 128, 255):
        check(png(2, 8, 6, [bytes([9, 8, 7, alpha, 1, 2, 3, alpha])]), row((9, 8, 7), (1, 2, 3)))
        check(png(2, 8, 4, [bytes([9, alpha, 8, alpha])]), row(9, 8))


def test_decode_image_colour_profile_is_ignored() -> None:
    narrow = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    image = Image.fromarray(NOISE)
    check(saved(image, "PNG", icc_profile=narrow), NOISE)
    plain = decode_image(saved(image, "JPEG"), "a.jpg")
    check(saved(image, "JPEG", icc_profile=narrow), plain)


JPEG = saved(
    Image.fromarray(np.random.default_rng(3).integers(0, 256, (76, 57, 3), np.uint8)), "JPEG"
)


@pytest.mark.parametrize("zeros", [1, 2, 18, 5000])
def test_decode_image_jpeg_padded_with_zeros_is_read(zeros: int) -> None:
    expected, padding = decode_image(JPEG, "a.jpg"), bytes(zeros)
    tables = JPEG.index(b"\xff\xdb")
    check(JPEG[:-2] + padding + JPEG[-2:], expected)
    check(JPEG + padding, expected)
    check(JPEG[:tables] + padding + JPEG[tables:-2] + padding + JPEG[-2:], expected)


@pytest.mark.parametrize("missing", [40, 400, 2000])
def test_decode_image_jpeg_with_zeros_for_pixels_is_refused(missing: int) -> None:
    content = JPEG[: -2 - missing] + bytes(missing) + JPEG[-2:]
    with pytest.raises(UnreadableImage, match="damaged"):
        decode_image(content, "a.jpg")


def write_tiff(*kinds: int) -> bytes:
    """Return a TIFF with one grey page per kind, of its number, at most 9 pixels wide."""
    file = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(file) as writer:
        for number, kind in enumerate(kinds, 1):
            page = Image.new("L", (9 if kind == 0 else 3, 2), number)
            page.encoderinfo = {"tiffinfo": {254: kind}}
            page.save(writer, "TIFF", tiffinfo={254: kind})
            writer.newFrame()
    return file.getvalue()


@pytest.mark.parametrize("kinds", [(0, 1), (1, 0), (0, 1, 1, 1), (0, 4), (0, 5)])
def test_decode_image_reduced_pages_of_a_tiff_are_no_images(kinds: tuple[int, ...]) -> None:
    content = write_tiff(*kinds)
    full = kinds.index(0) + 1
    check(content, np.full((2, 9, 3), full, np.uint8))
    [page] = decode_pages(content, "a.tif")
    assert page.number is None


def test_decode_pages_full_pages_are_numbered_without_reduced_ones() -> None:
    pages = list(decode_pages(write_tiff(0, 1, 0, 1), "a.tif"))
    assert [(page.number, page.of) for page in pages] == [(1, 2), (2, 2)]
    assert [int(page.image[0, 0, 0]) for page in pages if isinstance(page.image, np.ndarray)] == [
        1,
        3,
    ]


def test_decode_image_tiff_of_one_reduced_page_is_read() -> None:
    check(write_tiff(1), np.full((2, 3, 3), 1, np.uint8))
