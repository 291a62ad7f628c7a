"""The inside of .zip and .tar archives: members listed, and read in place.

A member's address is `archive.zip!/name`. A .zip is read through its directory, which is held in
memory; a .tar has none, so it is listed from front to back, and a member's place in it, once
known, is all that reading it takes.
"""

import contextlib
import lzma
import os
import re
import stat
import struct
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from sihwa.errors import UnreadableImage

MEMBER_MARK = "!/"
"""Between an archive and the name inside it: `parts.zip!/front/001.png`."""

_MEMBER = re.compile(rf"(?<=\.zip|\.tar){MEMBER_MARK}", re.IGNORECASE)
_ENCRYPTED = 0x1
_DAMAGED = (
    ArithmeticError, EOFError, LookupError, NotImplementedError, OSError, RuntimeError, ValueError,
    lzma.LZMAError, struct.error, tarfile.TarError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What the readers of Python raise on damage; most of it is in no documentation."""

_archive_lock = threading.Lock()


class Member(NamedTuple):
    """One file in an archive."""

    name: str
    size: int
    """In bytes, as the archive says."""
    offset: int | None
    """Where its content begins in a .tar; None in a .zip, or where it lies in pieces."""
    plain: bool
    """Whether it is a file: no link, device or pipe."""


class Identity(NamedTuple):
    """An archive such as it is now, so that a changed one is opened again."""

    path: str
    modified_ns: int
    size: int


def split_member(path: str) -> tuple[str, str] | None:
    """Return the archive and the name inside it, or None for a plain path.

    What lies in a folder that is called like an archive and the mark, `x.zip!`, is a plain path.
    """
    for mark in _MEMBER.finditer(path):
        archive = path[: mark.start()]
        if not os.path.isdir(f"{archive}!"):  # noqa: PTH112 -- Path raises on a name of any length
            return archive, path[mark.end() :]
    return None


def list_members(archive: str) -> Iterator[Member]:
    """List the files of an archive, folders left out, in the order they lie in it.

    Of several with one name the first is the one that is read by that name.

    Raises:
        UnreadableImage: It is no archive, is damaged from some member on, or a folder beside it
            takes its members' addresses.
    """
    identity = identify(archive)
    if split_member(f"{archive}{MEMBER_MARK}") != (archive, ""):
        raise UnreadableImage(
            archive, "a folder beside it is called like it and `!`, so its members have no address"
        )
    if archive.lower().endswith(".tar"):
        yield from _list_tar(archive)
        return
    with _archive_lock:
        infos = _open_zip(*identity).file.infolist()
    for info in infos:
        name = _name_of(info)
        if not name.endswith("/"):
            yield Member(name, info.file_size, None, plain=True)


def read_member(archive: str, name: str, path: str, max_bytes: int) -> bytes:
    """Read one file of an archive.

    Raises:
        UnreadableImage: It is not there, is larger than `max_bytes`, or is damaged.
    """
    if archive.lower().endswith(".tar"):
        members, fault = _index_tar(*identify(archive))
        member = members.get(name)
        if member is None:
            raise UnreadableImage(path, fault or f"no such name in {archive}")
        return read_slice(archive, member, path, max_bytes)
    return _read_zip_member(archive, name, path, max_bytes)


def read_slice(archive: str, member: Member, path: str, max_bytes: int) -> bytes:
    """Read a member of a .tar whose place is known; arguments as in `read_member`."""
    if not member.plain or member.offset is None:
        raise UnreadableImage(path, "a link, a special file or one in pieces inside the archive")
    check_size(path, member.size, max_bytes)
    try:
        with Path(archive).open("rb") as file:
            file.seek(member.offset)
            content = file.read(member.size)
    except _DAMAGED as error:
        raise UnreadableImage(path, f"archive: {error}") from error
    if len(content) != member.size:
        raise UnreadableImage(path, "archive: it ends before the member does")
    return content


def identify(archive: str) -> Identity:
    """Return what tells this archive from a later one of the same name.

    Raises:
        UnreadableImage: It is not there, or is no file.
    """
    try:
        facts = Path(archive).stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableImage(archive, reason) from error
    if not stat.S_ISREG(facts.st_mode):  # opening a pipe would wait for its writer
        raise UnreadableImage(archive, "not a regular file")
    return Identity(archive, facts.st_mtime_ns, facts.st_size)


def check_size(path: str, size: int, max_bytes: int) -> None:
    """Refuse what is larger than allowed."""
    if size > max_bytes:
        raise UnreadableImage(path, f"{size} bytes are more than the {max_bytes} allowed")


def _list_tar(archive: str) -> Iterator[Member]:
    try:
        with tarfile.open(archive, "r:", errorlevel=2) as file:
            while (info := file.next()) is not None:
                file.members.clear()  # type: ignore[attr-defined]  # else it remembers them all
                if file.offset < info.offset_data:
                    raise tarfile.ReadError("a member's size is negative")  # else it never ends
                if not info.isdir():
                    offset = info.offset_data if info.isreg() and not info.issparse() else None
                    yield Member(info.name, info.size, offset, plain=info.isreg())
            _require_end(file)
    except _DAMAGED as error:
        raise UnreadableImage(archive, f"not a readable .tar: {error}") from error


def _require_end(file: tarfile.TarFile) -> None:
    """Refuse a .tar whose listing ended anywhere but at the empty block that ends one.

    `tarfile` takes a header that it cannot read for the end of the archive.
    """
    place = file.offset
    assert file.fileobj is not None
    file.fileobj.seek(place)
    block = file.fileobj.read(tarfile.BLOCKSIZE)
    if block != bytes(tarfile.BLOCKSIZE):
        what = "a damaged header" if len(block) == tarfile.BLOCKSIZE else "it breaks off"
        raise tarfile.ReadError(f"{what} at byte {place}; what lies behind is lost")


@lru_cache(maxsize=4)
def _index_tar(path: str, modified: int, size: int) -> tuple[dict[str, Member], str]:  # noqa: ARG001
    """Return the members by name, and why there are no more if the archive breaks off."""
    members: dict[str, Member] = {}
    try:
        for member in _list_tar(path):
            members.setdefault(member.name, member)
    except UnreadableImage as error:
        return members, error.reason
    return members, ""


def _read_zip_member(archive: str, name: str, path: str, max_bytes: int) -> bytes:
    try:
        with _archive_lock:
            opened = _open_zip(*identify(archive))
            info = opened.members[name]
            check_size(path, info.file_size, max_bytes)
            if info.flag_bits & _ENCRYPTED:
                raise UnreadableImage(path, "encrypted; unpack the archive with its password")
            with opened.file.open(info) as file:
                # the header may lie about the size; never unpack more than it said
                content = file.read(info.file_size + 1)
    except KeyError as error:
        raise UnreadableImage(path, f"no such name in {archive}") from error
    except _DAMAGED as error:
        raise UnreadableImage(path, f"archive: {error}") from error
    if len(content) != info.file_size:
        raise UnreadableImage(path, "archive: the member's size is not what its header says")
    return content


@dataclass(frozen=True)
class _Zip:
    file: zipfile.ZipFile
    members: dict[str, zipfile.ZipInfo]


@lru_cache(maxsize=4)  # reading the directory of a large archive takes longer than an image
def _open_zip(path: str, modified: int, size: int) -> _Zip:  # noqa: ARG001
    try:
        file = zipfile.ZipFile(path)
    except _DAMAGED as error:
        raise UnreadableImage(path, f"not a readable .zip: {error}") from error
    # the last of those given here wins
    return _Zip(file, {_name_of(info): info for info in reversed(file.infolist())})


def _name_of(info: zipfile.ZipInfo) -> str:
    """Return a member's name, as the archive's maker wrote it.

    Without its UTF-8 flag an archive does not say in which code its names are. Many makers leave
    the flag out and write UTF-8 all the same; Korean Windows writes cp949.
    """
    if info.flag_bits & 0x800 or info.filename.isascii():
        return info.filename
    raw = info.orig_filename.encode("cp437")
    for code in ("utf-8", "cp949"):
        with contextlib.suppress(UnicodeDecodeError):
            return raw.decode(code).replace("\\", "/")
    return info.filename
