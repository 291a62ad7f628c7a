"""Archives, whole, damaged and hostile."""

import os
import struct
import tarfile
import tracemalloc
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sihwa.errors import UnreadableImage
from sihwa.images import find_images, list_members, read_bytes, split_member
from tests.unit.images.forge import change, write_tar, write_zip

NAMES = ["a.png", "b.png", "c.png"]
CONTENT = b"x" * 700
STEP = 512 + 1024
"""Bytes of a member in a .tar: a header and two blocks of content."""
DEFLATED = zipfile.ZIP_DEFLATED
FLAGS = b"\x14\0\0\0\0\0"  # version, flags and method, in the header and in the directory
SIZES = struct.pack("<II", 8, 8)  # stored, so both sizes of the 8 bytes are 8


def tar_content(archive: Path) -> bytearray:
    return bytearray(Path(write_tar(archive, [(name, CONTENT) for name in NAMES])).read_bytes())


def with_size(header: bytearray, size: int) -> bytearray:
    header[124:136] = tarfile.itn(size, 12, tarfile.GNU_FORMAT)  # type: ignore[attr-defined]
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return header


def write_archive(archive: Path, members: list[tuple[str, bytes]]) -> str:
    if archive.suffix == ".tar":
        return write_tar(archive, members)
    with zipfile.ZipFile(archive, "w") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a second member with one name
        for name, content in members:
            file.writestr(name, content)
    return str(archive)


@pytest.mark.parametrize(
    ("length", "reason"),
    [
        (None, "damaged header at byte 3072"),
        (2 * STEP + 100, "truncated at byte 3072"),
        (2 * STEP, "truncated at byte 3072"),
    ],
    ids=["checksum", "inside a header", "between members"],
)
def test_list_members_damaged_tar_lists_the_members_before(
    tmp_path: Path, length: int | None, reason: str
) -> None:
    archive = tmp_path / "a.tar"
    content = tar_content(archive)
    content[2 * STEP + 150] ^= 0x55
    archive.write_bytes(content[:length])
    members = list_members(str(archive))
    assert [next(members).name, next(members).name] == NAMES[:2]
    with pytest.raises(UnreadableImage, match=f"not a readable .tar: {reason}"):
        next(members)
    assert read_bytes(f"{archive}!/b.png") == CONTENT
    with pytest.raises(UnreadableImage, match=reason):
        read_bytes(f"{archive}!/c.png")


def test_list_members_tar_with_one_empty_block_at_its_end_is_whole(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    archive.write_bytes(tar_content(archive)[: 3 * STEP + 512])
    assert [member.name for member in list_members(str(archive))] == NAMES


@pytest.mark.parametrize(
    ("size", "reason"), [(-512, "size is negative"), (2**70, r"not a readable \.tar")]
)
def test_list_members_tar_with_an_impossible_size_ends(
    tmp_path: Path, size: int, reason: str
) -> None:
    archive = tmp_path / "a.tar"
    content = tar_content(archive)
    content[STEP : STEP + 512] = with_size(content[STEP : STEP + 512], size)
    archive.write_bytes(content)
    with pytest.raises(UnreadableImage, match=reason):
        list(list_members(str(archive)))


@pytest.mark.parametrize("method", [DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_read_bytes_zip_with_damaged_data_is_refused(tmp_path: Path, method: int) -> None:
    content = os.urandom(3000)
    archive = Path(write_zip(tmp_path / "a.zip", {"a.png": content, "b.png": content}, method))
    whole = archive.read_bytes()
    for place in (35, 40, 50, 60, 200, 1500):
        archive.write_bytes(whole[:place] + b"\xff" * 40 + whole[place + 40 :])
        with pytest.raises(UnreadableImage, match="archive: "):
            read_bytes(f"{archive}!/a.png")
        assert read_bytes(f"{archive}!/b.png") == content


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        pytest.param(b"<pixels>", b"<pixelz>", "archive: Bad CRC-32", id="content"),
        pytest.param(SIZES, struct.pack("<II", 8, 9), "archive: .*size differs", id="too large"),
        pytest.param(SIZES, struct.pack("<II", 8, 7), "archive: Bad CRC-32", id="too small"),
        pytest.param(SIZES, struct.pack("<II", 8, 2**31), "bytes are more than the", id="huge"),
        pytest.param(b"PK\3\4", b"PK\3\5", "archive: Bad magic number", id="place"),
        pytest.param(FLAGS, b"\x14\0\1\0\0\0", "encrypted; unpack the archive", id="encrypted"),
        pytest.param(FLAGS, b"\x14\0\0\0c\0", "archive: .*compression method", id="compression"),
    ],
)
def test_read_bytes_damaged_member_is_refused(
    old: bytes, new: bytes, reason: str, tmp_path: Path
) -> None:
    path = write_zip(tmp_path / "a.zip", {"b.png": b"<pixels>"})
    assert read_bytes(f"{path}!/b.png") == b"<pixels>"
    change(path, old, new)
    os.utime(path, ns=(1, 1))
    with pytest.raises(UnreadableImage, match=rf"a\.zip!/b\.png: .*{reason}"):
        read_bytes(f"{path}!/b.png")


def test_read_bytes_any_changed_byte_of_a_zip_raises_nothing_else(tmp_path: Path) -> None:
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


def test_read_bytes_truncated_zip_is_refused_at_any_length(tmp_path: Path) -> None:
    whole = Path(write_zip(tmp_path / "a.zip", {"b.png": b"<pixels>"})).read_bytes()
    cut = tmp_path / "cut.zip"
    for length in range(len(whole)):
        cut.write_bytes(whole[:length])
        with pytest.raises(UnreadableImage, match=r"cut\.zip: not a readable \.zip"):
            read_bytes(f"{cut}!/b.png")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(None, "a.zip: No such file", id="missing"),
        pytest.param(b"\x89PNG\r\n\x1a\n" * 9, "a.zip: not a readable .zip", id="an image"),
    ],
)
def test_find_images_not_an_archive_is_refused(
    content: bytes | None, reason: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(UnreadableImage, match=reason):
        find_images(tmp_path / "a.zip")
    with pytest.raises(UnreadableImage, match=reason):
        read_bytes(f"{tmp_path}/a.zip!/b.png")


def test_read_bytes_member_larger_than_its_header_is_not_unpacked(tmp_path: Path) -> None:
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
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_read_bytes_missing_member_is_refused(kind: str, name: str, tmp_path: Path) -> None:
    path = write_archive(tmp_path / f"a.{kind}", [("b.png", b"7")])
    with pytest.raises(UnreadableImage, match=rf"no such name in .*a\.{kind}") as caught:
        read_bytes(f"{path}!/{name}")
    assert caught.value.path == f"{path}!/{name}"


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_read_bytes_changed_archive_is_opened_again(kind: str, tmp_path: Path) -> None:
    archive = tmp_path / f"a.{kind}"
    path = write_archive(archive, [("b.png", b"old")])
    os.utime(path, ns=(1, 1))
    assert read_bytes(f"{path}!/b.png") == b"old"
    write_archive(archive, [("b.png", b"new")])  # same size, another time
    os.utime(path, ns=(2, 2))
    assert read_bytes(f"{path}!/b.png") == b"new"
    write_archive(archive, [("b.png", b"longer"), ("c.png", b"x" * 20_000)])
    os.utime(path, ns=(2, 2))  # same time, another size
    assert read_bytes(f"{path}!/b.png") == b"longer"
    assert len(find_images(archive).images) == 2


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_read_bytes_of_members_with_one_name_is_the_first(tmp_path: Path, kind: str) -> None:
    path = write_archive(tmp_path / f"a.{kind}", [("b.png", b"first"), ("b.png", b"then")])
    assert [member.name for member in list_members(path)] == ["b.png", "b.png"]
    assert find_images(Path(path)).images == (f"{path}!/b.png",)
    assert read_bytes(f"{path}!/b.png") == b"first"


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize(
    "name", ["in.zip!/b.png", pytest.param("y" * 5000 + ".png", id="longer than any file's name")]
)
def test_split_member_unusual_name_is_read(tmp_path: Path, kind: str, name: str) -> None:
    path = write_archive(tmp_path / f"a.{kind}", [(name, CONTENT)])
    assert split_member(f"{path}!/{name}") == (path, name)
    assert find_images(Path(path)).images == (f"{path}!/{name}",)
    assert read_bytes(f"{path}!/{name}") == CONTENT


def test_read_bytes_several_threads_share_an_archive(tmp_path: Path) -> None:
    members = {f"{index}.png": bytes([index]) * 50_000 for index in range(40)}
    path = write_zip(tmp_path / "a.zip", members, DEFLATED)
    with ThreadPoolExecutor(8) as threads:
        contents = threads.map(read_bytes, [f"{path}!/{name}" for name in members])
        assert list(contents) == list(members.values())


def test_read_bytes_more_archives_than_are_kept_open_stay_readable(tmp_path: Path) -> None:
    paths = [write_zip(tmp_path / f"{i}.zip", {"a.png": bytes([i])}) for i in range(9)]
    for _ in range(2):
        assert [read_bytes(f"{path}!/a.png") for path in paths] == [bytes([i]) for i in range(9)]
