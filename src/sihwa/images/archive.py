"""Members of .zip and .tar archives: listed and read in place, without unpacking the archive.

A member's address is `archive.zip!/name`. A .zip has a directory, which is kept in memory. A .tar
has none: it is listed from front to back, and a member is read at the offset found there.
"""

import contextlib
import re
import stat
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from sihwa.errors import UnreadableImage

ARCHIVE_SUFFIXES = (".zip", ".tar")
MEMBER_MARK = "!/"
"""Separates an archive from the name inside it: `parts.zip!/front/001.png`."""

_MEMBER = re.compile(rf"(?<=\.zip|\.tar){MEMBER_MARK}", re.IGNORECASE)
_ENCRYPTED, _UTF8_NAME = 0x1, 0x800
_archive_lock = threading.Lock()


class Member(NamedTuple):
    """One file in an archive."""

    name: str
    size: int
    """In bytes, as the archive states it."""
    offset: int | None
    """Where its content begins in a .tar; None in a .zip and for a sparse file."""
    plain: bool
    """Whether it is a regular file, not a link, device or pipe."""


class Identity(NamedTuple):
    """One state of an archive; an archive that changed is opened again."""

    path: str
    modified_ns: int
    size: int


def split_member(path: str) -> tuple[str, str] | None:
    """Return the archive and the name inside it, or None for a plain path.

    >>> split_member("parts.zip!/front/001.png")
    ('parts.zip', 'front/001.png')
    """
    mark = _MEMBER.search(path)
    return (path[: mark.start()], path[mark.end() :]) if mark else None


def list_members(archive: str) -> Iterator[Member]:
    """List the files of an archive in their stored order, without folders.

    Where several have one name, `read_member` reads the first.

    Raises:
        UnreadableImage: Not an archive, or damaged; the members before the damage are listed.
    """
    identity = identify(archive)
    if _is_tar(archive):
        yield from _list_tar(archive)
        return
    with _archive_lock:
        infos = _open_zip(identity)[0].infolist()
    for info in infos:
        name = _decode_name(info)
        if not name.endswith("/"):
            yield Member(name, info.file_size, None, plain=True)


def read_member(archive: str, name: str, max_bytes: int, member: Member | None = None) -> bytes:
    """Read one file of an archive; `member`, as `list_members` gave it, saves listing a .tar.

    Raises:
        UnreadableImage: Missing, larger than `max_bytes`, or damaged.
    """
    path = f"{archive}{MEMBER_MARK}{name}"
    if not _is_tar(archive):
        return _read_zip_member(archive, name, path, max_bytes)
    if member is None:
        members, fault = _index_tar(identify(archive))
        member = members.get(name)
        if member is None:
            raise UnreadableImage(path, fault or f"no such name in {archive}")
    return _read_tar_member(archive, member, path, max_bytes)


def identify(archive: str) -> Identity:
    """Return the archive's size and times; refuse anything but a regular file."""
    try:
        facts = Path(archive).stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableImage(archive, reason) from error
    if not stat.S_ISREG(facts.st_mode):  # opening a pipe would wait for its writer
        raise UnreadableImage(archive, "not a regular file")
    return Identity(archive, facts.st_mtime_ns, facts.st_size)


def check_size(path: str, size: int, max_bytes: int) -> None:
    """Refuse a file that is larger than allowed."""
    if size > max_bytes:
        raise UnreadableImage(path, f"{size} bytes are more than the {max_bytes} allowed")


def _is_tar(archive: str) -> bool:
    return archive.lower().endswith(".tar")


@contextlib.contextmanager
def _refuse_damage(path: str, what: str) -> Iterator[None]:
    try:
        yield
    except UnreadableImage:
        raise
    except Exception as error:  # on damage, Python's readers raise almost anything
        raise UnreadableImage(path, f"{what}: {error}") from error


def _list_tar(archive: str) -> Iterator[Member]:
    with (
        _refuse_damage(archive, "not a readable .tar"),
        tarfile.open(archive, "r:", errorlevel=2) as file,
    ):
        while (info := file.next()) is not None:
            file.members.clear()  # type: ignore[attr-defined]  # tarfile keeps them all otherwise
            if file.offset < info.offset_data:
                raise tarfile.ReadError("a member's size is negative")  # would loop forever
            if not info.isdir():
                offset = info.offset_data if info.isreg() and not info.issparse() else None
                yield Member(info.name, info.size, offset, plain=info.isreg())
        _require_end(file)


def _require_end(file: tarfile.TarFile) -> None:
    """Refuse a .tar that does not end with an empty block: `tarfile` hides a damaged header."""
    end = file.offset
    assert file.fileobj is not None
    file.fileobj.seek(end)
    block = file.fileobj.read(tarfile.BLOCKSIZE)
    if block != bytes(tarfile.BLOCKSIZE):
        what = "damaged header" if len(block) == tarfile.BLOCKSIZE else "truncated"
        raise tarfile.ReadError(f"{what} at byte {end}; members behind it are lost")


@lru_cache(maxsize=4)
def _index_tar(archive: Identity) -> tuple[dict[str, Member], str]:
    """Return the members by name, and the fault that ended the listing, if any."""
    members: dict[str, Member] = {}
    try:
        for member in _list_tar(archive.path):
            members.setdefault(member.name, member)
    except UnreadableImage as error:
        return members, error.reason
    return members, ""


def _read_tar_member(archive: str, member: Member, path: str, max_bytes: int) -> bytes:
    if not member.plain or member.offset is None:
        raise UnreadableImage(path, "a link, special file or sparse file inside the archive")
    check_size(path, member.size, max_bytes)
    with _refuse_damage(path, "archive"), Path(archive).open("rb") as file:
        file.seek(member.offset)
        content = file.read(member.size)
        if len(content) != member.size:
            raise EOFError("it ends before the member does")
    return content


@lru_cache(maxsize=4)  # reading the directory of a large archive takes longer than one image
def _open_zip(archive: Identity) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
    with _refuse_damage(archive.path, "not a readable .zip"):
        file = zipfile.ZipFile(archive.path)
    # reversed: of several with one name, the first stays
    return file, {_decode_name(info): info for info in reversed(file.infolist())}


def _read_zip_member(archive: str, name: str, path: str, max_bytes: int) -> bytes:
    with _archive_lock, _refuse_damage(path, "archive"):
        file, members = _open_zip(identify(archive))
        info = members.get(name)
        if info is None:
            raise UnreadableImage(path, f"no such name in {archive}")
        check_size(path, info.file_size, max_bytes)
        if info.flag_bits & _ENCRYPTED:
            raise UnreadableImage(path, "encrypted; unpack the archive with its password")
        with file.open(info) as opened:
            content = opened.read(info.file_size + 1)  # never unpack more than the header states
        if len(content) != info.file_size:
            raise EOFError("the member's size differs from its header")
    return content


def _decode_name(info: zipfile.ZipInfo) -> str:
    """Return a member's name as it was written.

    Names without the UTF-8 flag have no stated encoding. Many programs omit the flag and write
    UTF-8 all the same; Korean Windows writes cp949.
    """
    if info.flag_bits & _UTF8_NAME or info.filename.isascii():
        return info.filename
    raw = info.orig_filename.encode("cp437")
    for encoding in ("utf-8", "cp949"):
        with contextlib.suppress(UnicodeDecodeError):
            return raw.decode(encoding).replace("\\", "/")
    return info.filename
