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
