import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from sihwa.errors import UnreadableImage
from sihwa.images import list_members, read_bytes, split_member
from tests.unit.images.forge import write_zip

NAMES = ["a.png", "b.png", "c.png"]
CONTENT = b"x" * 700
STEP = 512 + 1024
"""A header and two blocks of content."""


def write_tar(archive: Path, names: list[str] = NAMES) -> bytearray:
    with tarfile.open(archive, "w", format=tarfile.GNU_FORMAT) as file:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(CONTENT)
            file.addfile(info, io.BytesIO(CONTENT))
    return bytearray(archive.read_bytes())


def of_size(header: bytearray, size: int) -> bytearray:
    header[124:136] = tarfile.itn(size, 12, tarfile.GNU_FORMAT)  # type: ignore[attr-defined]
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return header


@pytest.mark.parametrize(
    ("length", "reason"),
    [
        (None, "a damaged header at byte 3072"),
        (2 * STEP + 100, "it breaks off at byte 3072"),
        (2 * STEP, "it breaks off at byte 3072"),
    ],
    ids=["checksum", "inside a header", "between members"],
)
def test_list_members_tar_that_breaks_off_at_a_header_is_told(
    tmp_path: Path, length: int | None, reason: str
) -> None:
    archive = tmp_path / "a.tar"
    content = write_tar(archive)
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
    archive.write_bytes(write_tar(archive)[: 3 * STEP + 512])
    assert [member.name for member in list_members(str(archive))] == NAMES


def test_list_members_tar_with_a_negative_size_comes_to_an_end(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    content = write_tar(archive)
    header = content[STEP : STEP + 512]
    archive.write_bytes(content[:STEP] + of_size(header, -512) + content[STEP + 512 :])
    members = list_members(str(archive))
    assert next(members).name == "a.png"
    with pytest.raises(UnreadableImage, match="size is negative"):
        next(members)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
@pytest.mark.parametrize("name", ["q.zip", "q.tar"])
def test_read_bytes_pipe_named_like_an_archive_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(UnreadableImage, match="not a regular file"):
        read_bytes(f"{tmp_path / name}!/a.png")
    with pytest.raises(UnreadableImage, match="not a regular file"):
        next(list_members(str(tmp_path / name)))


@pytest.mark.parametrize(
    "method",
    [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA],
    ids=["deflate", "bzip2", "lzma"],
)
def test_read_bytes_zip_with_damaged_data_is_told(tmp_path: Path, method: int) -> None:
    content = os.urandom(3000)
    archive = Path(write_zip(tmp_path / "a.zip", {"a.png": content, "b.png": content}, method))
    whole = archive.read_bytes()
    for place in (35, 40, 50, 60, 200, 1500):
        archive.write_bytes(whole[:place] + b"\xff" * 40 + whole[place + 40 :])
        with pytest.raises(UnreadableImage, match="archive: "):
            read_bytes(f"{archive}!/a.png")
        assert read_bytes(f"{archive}!/b.png") == content


def test_read_bytes_zip_whose_directory_leads_outside_is_told(tmp_path: Path) -> None:
    archive = Path(write_zip(tmp_path / "a.zip", {"a.png": CONTENT}))
    content = bytearray(archive.read_bytes())
    place = content.index(b"PK\1\2") + 42
    for offset in (10, len(content) - 10, 2**32 - 2):
        content[place : place + 4] = offset.to_bytes(4, "little")
        archive.write_bytes(content)
        with pytest.raises(UnreadableImage, match=r"a\.zip"):
            read_bytes(f"{archive}!/a.png")


def test_list_members_tar_of_a_size_beyond_all_files_is_told(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    content = write_tar(archive)
    header = content[STEP : STEP + 512]
    archive.write_bytes(content[:STEP] + of_size(header, 2**70))
    with pytest.raises(UnreadableImage, match=r"not a readable \.tar"):
        list(list_members(str(archive)))


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_split_member_name_too_long_for_a_file_is_a_name(tmp_path: Path, kind: str) -> None:
    name = "y" * 5000 + ".png"
    archive = tmp_path / f"a.{kind}"
    if kind == "zip":
        write_zip(archive, {name: CONTENT})
    else:
        write_tar(archive, [name])
    assert split_member(f"{archive}!/{name}") == (str(archive), name)
    assert read_bytes(f"{archive}!/{name}") == CONTENT
