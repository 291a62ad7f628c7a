"""Where pictures come from: files, folders and the inside of zip archives."""

import contextlib
import os
import re
import stat
import threading
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sihwa.errors import UnreadableImage

__all__ = ["IMAGE_SUFFIXES", "MEMBER_MARK", "Listing", "find_images", "read_bytes"]

IMAGE_SUFFIXES = (
    ".bmp", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip
MEMBER_MARK = "!/"
"""Between an archive and the name inside it: `parts.zip!/front/001.png`."""
MAX_BYTES = 2**30

_MEMBER = re.compile(rf"(?<=\.zip){MEMBER_MARK}", re.IGNORECASE)

_archive_lock = threading.Lock()
_DAMAGED = (
    EOFError, NotImplementedError, OSError, RuntimeError, ValueError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@dataclass(frozen=True)
class Listing:
    """What lies below a folder or in an archive."""

    images: tuple[str, ...]
    """Pictures by their suffix, sorted; members of an archive as `archive.zip!/name`."""
    others: int
    """Files that are no pictures by their suffix."""


def find_images(root: Path) -> Listing:
    """List the pictures below a folder or in a .zip; links to folders are not followed.

    Raises:
        UnreadableImage: The archive cannot be opened.
        OSError: The folder cannot be listed.
    """
    names = _members(root) if root.suffix.lower() == ".zip" else _files(root)
    images = tuple(sorted(name for name in names if _is_image(name)))
    return Listing(images, len(names) - len(images))


def read_bytes(path: str, max_bytes: int = MAX_BYTES) -> bytes:
    """Read a file, or a member of an archive written as `archive.zip!/name`.

    Raises:
        UnreadableImage: Missing, not a regular file, larger than `max_bytes`, or damaged.
    """
    archive, *member = _MEMBER.split(path, maxsplit=1)
    if member and not Path(path).exists():
        return _read_member(archive, member[0], path, max_bytes)
    return _read_file(path, max_bytes)


def _is_image(path: str) -> bool:
    # macOS leaves a `._name.jpg` of file attributes beside each picture it copies or zips
    hidden = path.replace("\\", "/").rpartition("/")[2].startswith("._")
    return path.lower().endswith(IMAGE_SUFFIXES) and not hidden


def _files(root: Path) -> list[str]:
    return [
        str(Path(folder, name))
        for folder, _, names in os.walk(root, onerror=_raise)
        for name in names
    ]


def _raise(error: OSError) -> None:
    raise error


def _members(archive: Path) -> list[str]:
    with _archive_lock:
        names = _open_archive(*_identity(str(archive))).members
    return [f"{archive}{MEMBER_MARK}{name}" for name in names if not name.endswith("/")]


def _read_file(path: str, max_bytes: int) -> bytes:
    try:
        # opening a pipe would wait for its writer; O_NONBLOCK does not
        handle = os.open(
            path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        )
        with os.fdopen(handle, "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise UnreadableImage(path, "not a regular file")
            _check_size(path, facts.st_size, max_bytes)
            return file.read()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableImage(path, reason) from error


def _read_member(archive: str, member: str, path: str, max_bytes: int) -> bytes:
    try:
        with _archive_lock:
            opened = _open_archive(*_identity(archive))
            info = opened.members[member]
            _check_size(path, info.file_size, max_bytes)
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


def _check_size(path: str, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise UnreadableImage(path, f"{size} bytes are more than the {max_bytes} allowed")


def _identity(archive: str) -> tuple[str, int, int]:
    """Name an archive so that a changed one is opened again."""
    try:
        facts = Path(archive).stat()
    except OSError as error:
        raise UnreadableImage(archive, error.strerror or str(error)) from error
    return archive, facts.st_mtime_ns, facts.st_size


@dataclass(frozen=True)
class _Archive:
    file: zipfile.ZipFile
    members: dict[str, zipfile.ZipInfo]


@lru_cache(maxsize=4)  # reading the directory of a large archive takes longer than a picture
def _open_archive(path: str, modified: int, size: int) -> _Archive:  # noqa: ARG001
    try:
        file = zipfile.ZipFile(path)
    except _DAMAGED as error:
        raise UnreadableImage(path, f"not a readable .zip: {error}") from error
    return _Archive(file, {_name_of(info): info for info in file.infolist()})


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
