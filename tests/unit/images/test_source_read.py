import contextlib
import io
import os
import struct
import tarfile
import threading
import tracemalloc
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sihwa.errors import UnreadableImage
from sihwa.images import find_images, list_members, read_bytes, read_image
from tests.unit.images.forge import change, saved, write, write_raw_zip, write_zip

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX files")


def test_read_bytes_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    folder, missing, long = tmp_path / "a.png", tmp_path / "b.png", tmp_path / ("x" * 300 + ".png")
    folder.mkdir()
    for path, reason in [
        (missing, "No such file or directory"),
        (folder, "(Is a directory|Permission denied|not a regular file)"),
        (missing / "c.png", "No such file or directory"),
        (long, ""),
        (Path("a\0.png"), "null"),
        (Path("a\ud800.png"), "(surrogates|No such file or directory)"),
    ]:
        with pytest.raises(UnreadableImage, match=f"png: .*{reason}") as caught:
            read_bytes(str(path))
        assert caught.value.path == str(path)


def test_read_bytes_too_large_file_or_member_is_refused(tmp_path: Path) -> None:
    (file,) = write(tmp_path, "abc.png")
    member = write_zip(tmp_path / "a.zip", {"b.png": b"7 bytes"}, zipfile.ZIP_DEFLATED) + "!/b.png"
    for path, expected in [(file, b"abc.png"), (member, b"7 bytes")]:
        assert read_bytes(path, max_bytes=7) == expected
        with pytest.raises(UnreadableImage, match="png: 7 bytes are more than the 6 allowed"):
            read_bytes(path, max_bytes=6)


@posix
def test_read_bytes_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    pipe = tmp_path / "a.png"
    os.mkfifo(pipe)
    raised: list[str] = []

    def read() -> None:
        try:
            read_bytes(str(pipe))
        except UnreadableImage as error:
            raised.append(str(error))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(timeout=5)
    assert raised == [f"{pipe}: not a regular file"]


@posix
@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_read_bytes_without_permission_is_refused(tmp_path: Path) -> None:
    (path,) = write(tmp_path, "a.png")
    Path(path).chmod(0)
    with pytest.raises(UnreadableImage, match=r"a\.png: Permission denied"):
        read_bytes(path)


DEFLATED = zipfile.ZIP_DEFLATED
SIZES = struct.pack("<II", 8, 8)  # stored, so both sizes of the 8 bytes are 8


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        pytest.param(b"<pixels>", b"<pixelz>", "archive: Bad CRC-32", id="content"),
        pytest.param(SIZES, struct.pack("<II", 8, 9), "member's size is not what", id="too large"),
        pytest.param(SIZES, struct.pack("<II", 8, 7), "archive: Bad CRC-32", id="too small"),
        pytest.param(SIZES, struct.pack("<II", 8, 2**31), "bytes are more than the", id="huge"),
        pytest.param(b"PK\3\4", b"PK\3\5", "archive: Bad magic number", id="place"),
    ],
)
def test_read_bytes_damaged_member_is_refused(
    old: bytes, new: bytes, match: str, tmp_path: Path
) -> None:
    path = write_zip(tmp_path / "a.zip", {"b.png": b"<pixels>"})
    assert read_bytes(f"{path}!/b.png") == b"<pixels>"
    change(path, old, new)
    os.utime(path, ns=(1, 1))
    with pytest.raises(UnreadableImage, match=rf"a\.zip!/b\.png: .*{match}"):
        read_bytes(f"{path}!/b.png")


@pytest.mark.parametrize(
    ("offset", "value", "match"),
    [
        pytest.param(0, 1, "encrypted; unpack the archive with its password", id="encrypted"),
        pytest.param(2, 99, "archive: .*compression method", id="compression"),
    ],
)
def test_read_bytes_member_of_a_kind_that_cannot_be_unpacked_is_refused(
    offset: int, value: int, match: str, tmp_path: Path
) -> None:
    path = write_zip(tmp_path / "a.zip", {"b.png": b"<pixels>"})
    content = bytearray(Path(path).read_bytes())
    content[6 + offset] = value  # of the local header and the directory: flags, then method
    content[content.index(b"PK\1\2") + 8 + offset] = value
    Path(path).write_bytes(content)
    with pytest.raises(UnreadableImage, match=match):
        read_bytes(f"{path}!/b.png")


def test_read_bytes_any_byte_of_an_archive_changed_raises_nothing_else(tmp_path: Path) -> None:
    whole = Path(write_zip(tmp_path / "a.zip", {"b.png": b"<pixels>" * 9}, DEFLATED)).read_bytes()
    damaged = tmp_path / "damaged.zip"
    refused = 0
    for place in range(len(whole)):
        damaged.write_bytes(whole[:place] + bytes([whole[place] ^ 0x81]) + whole[place + 1 :])
        os.utime(damaged, ns=(place, place))
        try:
            content = [read_bytes(image) for image in find_images(damaged).images]
        except UnreadableImage:
            refused += 1
        else:
            assert content in ([], [b"<pixels>" * 9])
    assert refused > len(whole) / 3


def test_read_bytes_archive_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = Path(write_zip(tmp_path / "a.zip", {"b.png": b"<pixels>"})).read_bytes()
    cut = tmp_path / "cut.zip"
    for length in range(len(whole)):
        cut.write_bytes(whole[:length])
        with pytest.raises(UnreadableImage, match=r"cut\.zip: not a readable \.zip"):
            read_bytes(f"{cut}!/b.png")


def test_read_bytes_member_larger_than_its_header_says_is_not_unpacked(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"b.png": bytes(20_000_000)}, DEFLATED)
    change(path, struct.pack("<I", 20_000_000), struct.pack("<I", 10))
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableImage, match="archive: Bad CRC-32"):
            read_bytes(f"{path}!/b.png")
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "name", ["c.png", "B.png", "b.png/", "./b.png", "/b.png", "", "x/../b.png"]
)
def test_read_bytes_missing_member_is_refused(name: str, tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"b.png": b"7"})
    with pytest.raises(UnreadableImage, match=r"no such name in .*a\.zip") as caught:
        read_bytes(f"{path}!/{name}")
    assert caught.value.path == f"{path}!/{name}"


def test_read_bytes_undecoded_name_of_a_cp949_archive_is_missing(tmp_path: Path) -> None:
    path = write_raw_zip(tmp_path / "a.zip", "양품.png".encode("cp949"), b"7")
    with pytest.raises(UnreadableImage, match="no such name in"):
        read_bytes(f"{path}!/" + "양품.png".encode("cp949").decode("cp437"))


def test_read_bytes_changed_archive_is_opened_again(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"b.png": b"old"})
    os.utime(path, ns=(1, 1))
    assert read_bytes(f"{path}!/b.png") == b"old"
    write_zip(Path(path), {"b.png": b"new"})  # of the same size
    os.utime(path, ns=(2, 2))
    assert read_bytes(f"{path}!/b.png") == b"new"
    write_zip(Path(path), {"b.png": b"longer", "c.png": b"one more"})
    os.utime(path, ns=(2, 2))  # at the same time
    assert read_bytes(f"{path}!/b.png") == b"longer"
    assert len(find_images(Path(path)).images) == 2


@posix  # Windows keeps an opened archive
def test_read_bytes_removed_archive_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"b.png": b"7"})
    assert read_bytes(f"{path}!/b.png") == b"7"
    Path(path).unlink()
    with pytest.raises(UnreadableImage, match=r"a\.zip: No such file"):
        read_bytes(f"{path}!/b.png")


def test_read_bytes_real_folder_named_like_an_archive_takes_its_addresses(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"b.png": b"member", "c.png": b"member"})
    assert read_bytes(f"{path}!/b.png") == b"member"
    write(tmp_path, "a.zip!/b.png")
    assert read_bytes(f"{path}!/b.png") == b"a.zip!/b.png"
    with pytest.raises(UnreadableImage, match="No such file"):  # and not the member of that name
        read_bytes(f"{path}!/c.png")
    with pytest.raises(UnreadableImage, match="a folder beside it is called like it"):
        list(list_members(path))


def test_read_bytes_archive_in_a_folder_named_like_another_is_itself(tmp_path: Path) -> None:
    write_zip(tmp_path / "d.zip", {"in.zip!/b.png": b"of d.zip"})
    (tmp_path / "d.zip!").mkdir()
    path = write_zip(tmp_path / "d.zip!/in.zip", {"b.png": b"of in.zip"})
    assert find_images(Path(path)).images == (f"{path}!/b.png",)
    assert read_bytes(f"{path}!/b.png") == b"of in.zip"


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_read_bytes_of_members_with_one_name_is_the_first(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the second name
            for content in (b"first", b"then"):
                file.writestr("b.png", content)
    else:
        with tarfile.open(path, "w") as file:
            for content in (b"first", b"then"):
                info = tarfile.TarInfo("b.png")
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
    assert [member.name for member in list_members(str(path))] == ["b.png", "b.png"]
    assert find_images(path).images == (f"{path}!/b.png",)
    assert read_bytes(f"{path}!/b.png") == b"first"


def test_read_bytes_mark_inside_a_members_name_is_part_of_it(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"in.zip!/b.png": b"7"})
    assert find_images(Path(path)).images == (f"{path}!/in.zip!/b.png",)
    assert read_bytes(f"{path}!/in.zip!/b.png") == b"7"


@posix
def test_read_bytes_folder_leaves_no_file_open(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match="Is a directory"):
        read_bytes(str(tmp_path))
    # the lowest free number tells nothing: whatever else runs here may close a file meanwhile
    for number in range(1024):
        with contextlib.suppress(OSError):  # not in use
            assert not os.path.samestat(os.fstat(number), tmp_path.stat())


def test_read_bytes_mark_after_another_suffix_is_a_plain_path(tmp_path: Path) -> None:
    path = f"{tmp_path}/hello!/b.png"
    with pytest.raises(UnreadableImage, match=r"hello!/b\.png: No such file"):
        read_bytes(path)


def test_read_bytes_several_threads_share_an_archive(tmp_path: Path) -> None:
    members = {f"{index}.png": bytes([index]) * 50_000 for index in range(40)}
    path = write_zip(tmp_path / "a.zip", members, DEFLATED)
    with ThreadPoolExecutor(8) as threads:
        contents = threads.map(read_bytes, [f"{path}!/{name}" for name in members])
        assert list(contents) == list(members.values())


def test_read_bytes_more_archives_than_are_kept_open_all_stay_readable(tmp_path: Path) -> None:
    paths = [write_zip(tmp_path / f"{i}.zip", {"a.png": bytes([i])}) for i in range(9)]
    for _ in range(2):
        assert [read_bytes(f"{path}!/a.png") for path in paths] == [bytes([i]) for i in range(9)]


def test_read_image_file_and_member_give_the_same_pixels(tmp_path: Path) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    content = saved(Image.fromarray(pixels), "PNG")
    (tmp_path / "양품.png").write_bytes(content)
    path = write_zip(tmp_path / "a.zip", {"양품.png": content})
    for image in (str(tmp_path / "양품.png"), f"{path}!/양품.png"):
        np.testing.assert_array_equal(read_image(image), pixels, strict=True)
        with pytest.raises(UnreadableImage, match=r"양품\.png: 4 x 2 pixels are more than the 7"):
            read_image(image, max_pixels=7)


def test_read_image_no_image_names_the_member(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"b.png": b"text"})
    with pytest.raises(UnreadableImage, match=r"a\.zip!/b\.png: not an image"):
        read_image(f"{path}!/b.png")
