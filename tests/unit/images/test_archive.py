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
    header[124:136] = tarfile.itn(-512, 12, tarfile.GNU_FORMAT)  # type: ignore[attr-defined]
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    archive.write_bytes(content[:STEP] + header + content[STEP + 512 :])
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
