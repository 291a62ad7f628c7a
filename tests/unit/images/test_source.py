import os
import sys
import unicodedata
from pathlib import Path

import pytest

from sihwa.errors import UnreadableImage
from sihwa.images import Listing, find_images, read_bytes
from tests.unit.images.forge import write, write_raw_zip, write_zip

linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX files")

NFD = unicodedata.normalize("NFD", "한글")


def escaped(name: bytes) -> str:
    """Return a name that is not UTF-8, as Python gives it on Linux."""
    return name.decode("utf-8", "surrogateescape")


def test_find_images_nested_folders_are_sorted_and_others_counted(tmp_path: Path) -> None:
    write(
        tmp_path, "b/2.png", "b/10.PNG", "a/x/y/z.Jpg", "c.tiff", "B.webp", "a.txt", "b/labels.csv"
    )
    write(tmp_path, "png", "c.png.part", "parts.zip", "a/Thumbs.db")
    (tmp_path / "empty.png").mkdir()
    expected = ["B.webp", "a/x/y/z.Jpg", "b/10.PNG", "b/2.png", "c.tiff"]
    assert find_images(tmp_path) == Listing(tuple(str(tmp_path / name) for name in expected), 6)


def test_find_images_order_of_creation_does_not_matter(tmp_path: Path) -> None:
    names = [f"{index * 7919 % 101:03d}.png" for index in range(101)]
    written = write(tmp_path, *names)
    assert written != sorted(written)
    assert find_images(tmp_path).images == tuple(sorted(written))


@pytest.mark.parametrize(
    "suffix", ["bmp", "jpe", "jpeg", "jpg", "pgm", "png", "pnm", "ppm", "tif", "tiff", "webp"]
)
def test_find_images_each_suffix_in_any_case_is_a_image(suffix: str, tmp_path: Path) -> None:
    low, high = write(tmp_path, f"a.{suffix}", f"b.{suffix.upper()}")
    assert find_images(tmp_path) == Listing((low, high), 0)


@pytest.mark.parametrize(
    "name",
    ["a.gif", "a.psd", "a.jpg.txt", "ajpg", pytest.param("a.jpg ", marks=linux), "._a.jpg"],
)
def test_find_images_other_name_is_counted_as_other(name: str, tmp_path: Path) -> None:
    write(tmp_path, name)
    assert find_images(tmp_path) == Listing((), 1)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("부품/양품 1.jpg", id="korean"),
        pytest.param(f"{NFD}/{NFD}.jpg", id="decomposed korean"),
        pytest.param("🔩/👩‍🔧.png", id="emoji"),
        pytest.param("a b/'c' & %d {e}.png", id="shell"),
        pytest.param("._folder/a.png", id="below a hidden folder"),
        pytest.param("_.a.png", id="nearly hidden"),
        pytest.param("line\nbreak\t.png", id="newline", marks=linux),
        pytest.param(escaped(b"\xff\xfe/caf\xe9.png"), id="not UTF-8", marks=linux),
        pytest.param(escaped("부품.png".encode("cp949")), id="cp949", marks=linux),
        pytest.param("a.zip!.png", id="mark in the name"),
        pytest.param("a.zip!/b.png", id="folder that looks like an archive"),
        pytest.param("a.zip!/b.ZIP!/c.png", id="two of them"),
    ],
)  # fmt: skip
def test_find_images_unusual_name_is_found_and_read(name: str, tmp_path: Path) -> None:
    (path,) = write(tmp_path, name)
    assert find_images(tmp_path) == Listing((path,), 0)
    assert read_bytes(path) == os.fsencode(name)


def test_find_images_composed_and_decomposed_name_stay_two(tmp_path: Path) -> None:
    written = write(tmp_path, "한글.png", f"{NFD}.png")
    if len(list(tmp_path.iterdir())) == 1:
        pytest.skip("this file system takes both for one")
    assert find_images(tmp_path).images == tuple(sorted(written))
    assert [read_bytes(path) for path in written] == [
        b"\xed\x95\x9c\xea\xb8\x80.png",
        f"{NFD}.png".encode(),
    ]


@posix
def test_find_images_link_to_a_folder_is_not_followed_and_to_a_file_is(tmp_path: Path) -> None:
    (real,) = write(tmp_path, "store/a.png")
    (tmp_path / "in/deep").mkdir(parents=True)
    (tmp_path / "in/loop").symlink_to(tmp_path)
    (tmp_path / "in/store").symlink_to(tmp_path / "store")
    link = tmp_path / "in/deep/link.png"
    link.symlink_to(real)
    assert find_images(tmp_path / "in") == Listing((str(link),), 0)
    assert read_bytes(str(link)) == b"store/a.png"


def test_find_images_empty_folder_holds_nothing(tmp_path: Path) -> None:
    assert find_images(tmp_path) == Listing((), 0)


def test_find_images_missing_or_no_folder_raises(tmp_path: Path) -> None:
    (file,) = write(tmp_path, "a.png")
    with pytest.raises(FileNotFoundError, match="missing"):
        find_images(tmp_path / "missing")
    with pytest.raises(NotADirectoryError, match=r"a\.png"):
        find_images(Path(file))


@pytest.mark.parametrize("archive", ["a.zip", "A.ZIP", "부품 🔩.zip", "a.zip.zip"])
def test_find_images_archive_lists_members_that_can_be_read(archive: str, tmp_path: Path) -> None:
    members = [
        "b/2.png",
        "b/10.JPG",
        "부품/양품.bmp",
        f"{NFD}.png",
        "a.txt",
        "b/",
        "__MACOSX/._2.png",
    ]
    path = write_zip(tmp_path / archive, {name: name.encode() for name in members})
    listing = find_images(Path(path))
    names = ["b/10.JPG", "b/2.png", f"{NFD}.png", "부품/양품.bmp"]
    assert listing == Listing(tuple(f"{path}!/{name}" for name in names), 2)
    assert [read_bytes(image) for image in listing.images] == [name.encode() for name in names]


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        pytest.param("부품/양품.jpg".encode("cp949"), "부품/양품.jpg", id="cp949"),
        pytest.param("똠방각하.jpg".encode("cp949"), "똠방각하.jpg", id="cp949 beyond euc-kr"),
        pytest.param("부품/양품.jpg".encode(), "부품/양품.jpg", id="utf-8"),
        pytest.param("불량1.jpg".encode(), "불량1.jpg", id="utf-8 that could be cp949"),
        pytest.param(f"{NFD}.jpg".encode(), f"{NFD}.jpg", id="decomposed utf-8"),
        pytest.param(b"caf\x82.jpg", "café.jpg", id="cp437"),
        pytest.param("부품\\양품.jpg".encode("cp949"), "부품/양품.jpg", id="backslash"),
    ],
)
def test_find_images_archive_names_without_utf8_flag_are_as_their_maker_wrote(
    raw: bytes, name: str, tmp_path: Path
) -> None:
    path = write_raw_zip(tmp_path / "a.zip", raw, b"7")
    assert find_images(Path(path)) == Listing((f"{path}!/{name}",), 0)
    assert read_bytes(f"{path}!/{name}") == b"7"


@pytest.mark.parametrize(
    ("content", "match"),
    [
        pytest.param(None, "a.zip: No such file", id="missing"),
        pytest.param(b"", "a.zip: not a readable .zip", id="empty"),
        pytest.param(b"\x89PNG\r\n\x1a\n" * 9, "a.zip: not a readable .zip", id="an image"),
        pytest.param(b"PK\5\6" + bytes(9), "a.zip: not a readable .zip", id="cut"),
    ],
)
def test_find_images_no_archive_is_refused(
    content: bytes | None, match: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(UnreadableImage, match=match):
        find_images(tmp_path / "a.zip")
    with pytest.raises(UnreadableImage, match=match):
        read_bytes(f"{tmp_path}/a.zip!/b.png")
