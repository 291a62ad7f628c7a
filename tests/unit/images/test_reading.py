"""Files listed below folders and in archives, and read as bytes."""

import os
import sys
import threading
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sihwa.errors import UnreadableImage
from sihwa.images import IMAGE_SUFFIXES, Decoding, Listing, find_images, read_bytes, read_image
from tests.unit.images.forge import saved, write, write_raw_zip, write_tar, write_zip

linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX files")

NFD = unicodedata.normalize("NFD", "한글")


def escaped(name: bytes) -> str:
    """Return a name that is not UTF-8, as Python gives it on Linux."""
    return name.decode("utf-8", "surrogateescape")


def test_find_images_nested_folders_are_sorted_and_others_counted(tmp_path: Path) -> None:
    assert find_images(tmp_path) == Listing((), 0)
    write(tmp_path, "b/2.png", "b/10.PNG", "a/x/y/z.Jpg", "c.tiff", "B.webp")
    write(tmp_path, "a.txt", "b/labels.csv", "png", "c.png.part", "parts.zip", "a/Thumbs.db")
    (tmp_path / "empty.png").mkdir()
    expected = ["B.webp", "a/x/y/z.Jpg", "b/10.PNG", "b/2.png", "c.tiff"]
    assert find_images(tmp_path) == Listing(tuple(str(tmp_path / name) for name in expected), 6)


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_find_images_each_suffix_in_any_case_is_an_image(suffix: str, tmp_path: Path) -> None:
    low, high = write(tmp_path, f"a{suffix}", f"b{suffix.upper()}")
    assert find_images(tmp_path) == Listing((low, high), 0)


@pytest.mark.parametrize(
    "name", ["a.gif", "a.psd", "a.jpg.txt", "ajpg", pytest.param("a.jpg ", marks=linux)]
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
        pytest.param("_.a.png", id="nearly hidden"),
        pytest.param("a.zip!.png", id="mark in the name"),
        pytest.param("line\nbreak\t.png", id="newline", marks=linux),
        pytest.param(escaped(b"\xff\xfe/caf\xe9.png"), id="not UTF-8", marks=linux),
        pytest.param(escaped("부품.png".encode("cp949")), id="cp949", marks=linux),
    ],
)  # fmt: skip
def test_find_images_unusual_name_is_found_and_read(name: str, tmp_path: Path) -> None:
    (path,) = write(tmp_path, name)
    assert find_images(tmp_path) == Listing((path,), 0)
    assert read_bytes(path) == os.fsencode(name)


SERVICE = [
    ".ipynb_checkpoints/a.png", "@eaDir/a.png/SYNO_THUMB.jpg", ".thumbnails/a.png",
    "#recycle/a.png", "$RECYCLE.BIN/a.png", "__MACOSX/a.png", ".Trash-1000/files/a.png",
    "System Volume Information/a.png", "LOST+FOUND/a.png", "._a.png", ".a.png",
]  # fmt: skip


@pytest.mark.parametrize("name", SERVICE)
def test_find_images_leaves_out_hidden_and_service_names(name: str, tmp_path: Path) -> None:
    (path,) = write(tmp_path / ".root", "good/a.png")
    left_out, _ = write(tmp_path / ".root", f"good/{name}", f"{name}-of-mine/a.txt")
    listing = find_images(tmp_path / ".root")
    assert listing.images == (path,)
    assert any(left_out.startswith(one) for one in listing.service)


@pytest.mark.parametrize("name", SERVICE)
@pytest.mark.parametrize("suffix", ["zip", "tar"])
def test_find_images_in_an_archive_leaves_out_hidden_and_service_names(
    name: str, suffix: str, tmp_path: Path
) -> None:
    members = dict.fromkeys(["./good/a.png", f"good/{name}"], b"1")
    path = str(tmp_path / f"a.{suffix}")
    if suffix == "zip":
        write_zip(Path(path), members)
    else:
        write_tar(Path(path), list(members.items()))
    found = find_images(Path(path))
    assert (found.images, found.service) == ((f"{path}!/./good/a.png",), (f"{path}!/good/{name}",))


@posix
def test_find_images_follows_links_each_folder_once(tmp_path: Path) -> None:
    (real, _, again, _) = write(tmp_path, "store/a.png", "out/1/b.png", "in/deep/c.png", "z/d.png")
    (tmp_path / "in/deep/link.png").symlink_to(real)
    for link, target in {
        "in/deep/store": "store",
        "in/loop": ".",  # holds the link itself
        "in/same": "in/deep",  # is listed anyway
        "in/out": "out/1",
        "in/wider": "out",  # without out/1, where in/out led
        "in/zz": "store",  # a second link to it
        "out/back": "in",
        "out/far": "z",
    }.items():
        (tmp_path / link).symlink_to(tmp_path / target)
    listing = find_images(tmp_path / "in")
    assert [path.removeprefix(f"{tmp_path}/in/") for path in listing.images] == [
        "deep/c.png", "deep/link.png", "deep/store/a.png", "out/b.png", "wider/far/d.png"
    ]  # fmt: skip
    assert [path.removeprefix(f"{tmp_path}/in/") for path in listing.linked] == [
        "loop", "same", "wider/back", "zz"
    ]  # fmt: skip
    assert again in listing.images


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing", "missing: cannot be listed: No such file"),
        ("a.png", r"a\.png: cannot be listed: Not a directory"),
        ("parent", r"x\.zip!: a folder's name must not end in \.zip!; rename it"),
    ],
)
def test_find_images_folder_that_cannot_be_listed_is_refused(
    name: str, reason: str, tmp_path: Path
) -> None:
    write(tmp_path, "a.png", "parent/x.zip!/b.png")
    with pytest.raises(UnreadableImage, match=reason):
        find_images(tmp_path / name)


@pytest.mark.parametrize("archive", ["a.zip", "A.ZIP", "부품 🔩.zip", "a.zip.zip"])
def test_find_images_archive_lists_members_that_can_be_read(archive: str, tmp_path: Path) -> None:
    names = ["b/10.JPG", "b/2.png", f"{NFD}.png", "부품/양품.bmp"]
    members = [*reversed(names), "a.txt", "b/", "__MACOSX/._2.png"]
    path = write_zip(tmp_path / archive, {name: name.encode() for name in members})
    listing = find_images(Path(path))
    assert listing == Listing(
        tuple(f"{path}!/{name}" for name in names), 1, (f"{path}!/__MACOSX/._2.png",)
    )
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
def test_find_images_archive_name_without_utf8_flag_is_decoded(
    raw: bytes, name: str, tmp_path: Path
) -> None:
    path = write_raw_zip(tmp_path / "a.zip", raw, b"7")
    assert find_images(Path(path)) == Listing((f"{path}!/{name}",), 0)
    assert read_bytes(f"{path}!/{name}") == b"7"
    if not raw.isascii() and raw.decode("cp437") != name:
        with pytest.raises(UnreadableImage, match="no such name in"):
            read_bytes(f"{path}!/{raw.decode('cp437')}")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("b.png", "No such file or directory", id="missing"),
        pytest.param("b.png/c.png", "No such file or directory", id="missing folder"),
        pytest.param("a.png", "Is a directory|Permission denied|not a regular file", id="folder"),
        pytest.param("x" * 300 + ".png", "", id="long"),
        pytest.param("a\0.png", "null", id="null"),
        pytest.param("a\ud800.png", "surrogates|No such file or directory", id="surrogate"),
        pytest.param("hello!/b.png", "No such file", id="mark after another suffix"),
    ],
)
def test_read_bytes_unreadable_file_is_refused(name: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(UnreadableImage, match=f"png: .*({reason})") as caught:
        read_bytes(f"{tmp_path}/{name}")
    assert caught.value.path == f"{tmp_path}/{name}"


def test_read_bytes_too_large_file_or_member_is_refused(tmp_path: Path) -> None:
    (file,) = write(tmp_path, "abc.png")
    member = write_zip(tmp_path / "a.zip", {"b.png": b"7 bytes"}, zipfile.ZIP_DEFLATED) + "!/b.png"
    for path, expected in [(file, b"abc.png"), (member, b"7 bytes")]:
        assert read_bytes(path, max_bytes=7) == expected
        with pytest.raises(UnreadableImage, match="png: 7 bytes are more than the 6 allowed"):
            read_bytes(path, max_bytes=6)


@posix
@pytest.mark.parametrize("name", ["a.png", "q.zip", "q.tar"])
def test_read_bytes_pipe_is_refused_without_waiting(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    raised: list[str] = []

    def read() -> None:
        try:
            read_bytes(str(tmp_path / name) + ("" if name == "a.png" else "!/a.png"))
        except UnreadableImage as error:
            raised.append(str(error))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(timeout=5)
    assert raised == [f"{tmp_path / name}: not a regular file"]


def test_read_image_file_and_member_give_the_same_pixels(tmp_path: Path) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    content = saved(Image.fromarray(pixels), "PNG")
    (tmp_path / "양품.png").write_bytes(content)
    path = write_zip(tmp_path / "a.zip", {"양품.png": content, "b.png": b"text"})
    for image in (str(tmp_path / "양품.png"), f"{path}!/양품.png"):
        np.testing.assert_array_equal(read_image(image), pixels, strict=True)
        with pytest.raises(UnreadableImage, match=r"양품\.png: 4 x 2 pixels are more than the 7"):
            read_image(image, Decoding(7))
    with pytest.raises(UnreadableImage, match=r"a\.zip!/b\.png: not an image"):
        read_image(f"{path}!/b.png")


def test_read_image_page_address_gives_that_page(tmp_path: Path) -> None:
    light = Image.new("L", (2, 2), 250)
    scan = saved(Image.new("L", (2, 2), 7), "TIFF", save_all=True, append_images=[light])
    path = tmp_path / "scan.tif"
    path.write_bytes(scan)
    assert [read_image(f"{path}#page={page}").max() for page in (1, 2)] == [7, 250]
    with pytest.raises(UnreadableImage, match=r"scan\.tif#page=3: holds no page 3"):
        read_image(f"{path}#page=3")
    path.with_name("scan.tif#page=2").write_bytes(saved(Image.new("L", (1, 1), 9), "PNG"))
    assert read_image(f"{path}#page=2").max() == 9  # a real file of that name comes first
    path.write_bytes(b"text")
    with pytest.raises(UnreadableImage, match="not an image"):
        read_image(f"{path}#page=1")
