"""Archives that would write elsewhere, or more than they say."""

import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sihwa.errors import DownloadError, StorageError
from sihwa.storage.unpack import unpack_zip


def pack(folder: Path, members: dict[str, bytes], **attributes: int) -> Path:
    """Write a .zip with these members; a name is stored as it is."""
    archive = folder / "set.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            info = zipfile.ZipInfo()
            info.filename = name
            for key, value in attributes.items():
                setattr(info, key, value)
            file.writestr(info, content)
    return archive


def test_unpack_zip_writes_all_files(tmp_path: Path) -> None:
    archive = pack(tmp_path, {"a/긁힘.txt": b"1", "a/b/": b"", "c.txt": b""})
    assert unpack_zip(archive, tmp_path / "out") == 2
    assert (tmp_path / "out/a/긁힘.txt").read_bytes() == b"1"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "set.zip"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../x", "leaves the folder"),
        ("a/../../x", "leaves the folder"),
        ("/etc/x", "leaves the folder"),
        ("C:/x", "leaves the folder"),
        ("a\\..\\x", "leaves the folder"),
        ("a//x", "leaves the folder"),
        ("./x", "leaves the folder"),
        ("a\x1b[2J", "unusable name"),
        ("x" * 1001, "unusable name"),
        ("a/CON.txt", "Windows"),
        ("a./x", "Windows"),
        ("GOOD/b", "twice"),
        ("good/a/x", "below the file 'good/a'"),
    ],
)
def test_unpack_zip_hostile_name_is_refused(tmp_path: Path, name: str, message: str) -> None:
    archive = pack(tmp_path, {"good/a": b"", "good/b": b"", name: b""})
    with pytest.raises(DownloadError, match=message):
        unpack_zip(archive, tmp_path / "in" / "out")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [archive]


@pytest.mark.parametrize(
    "mode", [stat.S_IFLNK | 0o777, stat.S_IFIFO | 0o600, stat.S_IFCHR], ids=["link", "pipe", "dev"]
)
def test_unpack_zip_special_file_is_refused(tmp_path: Path, mode: int) -> None:
    archive = pack(tmp_path, {"a": b"/etc/passwd"}, external_attr=mode << 16, create_system=3)
    with pytest.raises(DownloadError, match="'a' is a link or a special file"):
        unpack_zip(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("limits", "message"),
    [((100, 10), "2000 bytes, at most 100"), ((10_000, 1), "2 members, at most 1")],
)
def test_unpack_zip_more_than_allowed_is_refused(
    tmp_path: Path, limits: tuple[int, int], message: str
) -> None:
    archive = pack(tmp_path, {"a": bytes(1000), "b": bytes(1000)})
    with pytest.raises(DownloadError, match=message):
        unpack_zip(archive, tmp_path / "out", *limits)


def flip_data(content: bytes) -> bytes:
    return content.replace(b"payload", b"pAyload", 1)


def understate_size(content: bytes) -> bytes:
    # the size in the directory, which is what zipfile believes
    place = content.index(b"PK\x01\x02") + 24
    return content[:place] + (3).to_bytes(4, "little") + content[place + 4 :]


def set_encrypted(content: bytes) -> bytes:
    place = content.index(b"PK\x01\x02") + 8
    return content[:place] + b"\x01" + content[place + 1 :]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip_data, "'a' is damaged"),
        (understate_size, "'a' is damaged|has not the size"),
        (set_encrypted, "'a' is encrypted"),
        (lambda content: content[:-30], "not a whole .zip"),
        (lambda content: b"<html>" + content[:0], "not a whole .zip"),
    ],
    ids=["data", "size", "encrypted", "cut", "web page"],
)
def test_unpack_zip_damage_leaves_nothing(
    tmp_path: Path, damage: Callable[[bytes], bytes], message: str
) -> None:
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a", b"payload" * 9)
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(DownloadError, match=message):
        unpack_zip(archive, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set.zip"]


def test_unpack_zip_needs_room_and_an_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = pack(tmp_path, {"a": bytes(1000)})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(StorageError):
        unpack_zip(archive, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(StorageError, match="1000 bytes are needed, 10 free"):
        unpack_zip(archive, tmp_path / "new")
