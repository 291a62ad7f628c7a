"""Where images come from: files, folders and the inside of archives."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sihwa.errors import UnreadableImage
from sihwa.images.archive import (
    MEMBER_MARK,
    Member,
    check_size,
    identify,
    list_members,
    read_member,
    read_slice,
    split_member,
)

IMAGE_SUFFIXES = (
    ".bmp", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff",
    ".webp",
)  # fmt: skip
ARCHIVE_SUFFIXES = (".zip", ".tar")
MAX_BYTES = 2**30


@dataclass(frozen=True)
class Listing:
    """What lies below a folder or in an archive."""

    images: tuple[str, ...]
    """Images by their suffix, sorted; members of an archive as `archive.zip!/name`."""
    others: int
    """Files that are no images by their suffix."""


class Content(NamedTuple):
    """A file as it was when it was read."""

    content: bytes
    modified_ns: int
    """Time of its last change, in ns since 1970; that of the archive for a member."""


def find_images(root: Path) -> Listing:
    """List the images below a folder or in an archive; links to folders are not followed.

    Raises:
        UnreadableImage: The archive cannot be opened.
        OSError: The folder cannot be listed.
    """
    if root.suffix.lower() in ARCHIVE_SUFFIXES:
        found = list_members(str(root))
        names = list(dict.fromkeys(f"{root}{MEMBER_MARK}{member.name}" for member in found))
    else:
        names = _files(root)
    images = tuple(sorted(name for name in names if is_image_name(name)))
    return Listing(images, len(names) - len(images))


def read_bytes(path: str, max_bytes: int = MAX_BYTES) -> bytes:
    """Read a file, or a member of an archive written as `archive.zip!/name`.

    Raises:
        UnreadableImage: Missing, not a regular file, larger than `max_bytes`, damaged, or changed
            while it was read.
    """
    return read_content(path, max_bytes=max_bytes).content


def read_content(path: str, member: Member | None = None, max_bytes: int = MAX_BYTES) -> Content:
    """Read a file with what identifies it; `member` is its place in a .tar, if that is known.

    Raises:
        UnreadableImage: As `read_bytes`.
    """
    inside = split_member(path)
    if inside is None:
        return _read_file(path, max_bytes)
    archive = identify(inside[0])
    if member is not None and inside[0].lower().endswith(".tar"):
        content = read_slice(inside[0], member, path, max_bytes)
    else:
        content = read_member(*inside, path, max_bytes)
    if identify(inside[0]) != archive:
        raise UnreadableImage(path, "the archive changed while it was read")
    return Content(content, archive.modified_ns)


def identify_file(path: str, member: Member | None = None) -> tuple[int, int] | None:
    """Return size in bytes and time of the last change in ns, or None where there is no file."""
    inside = None if member is None else split_member(path)
    try:
        facts = Path(path if inside is None else inside[0]).stat()
    except (OSError, ValueError):
        return None
    return (facts.st_size if member is None else member.size), facts.st_mtime_ns


def is_image_name(path: str) -> bool:
    """Say whether a file is an image by its name."""
    # macOS leaves a `._name.jpg` of file attributes beside each image it copies or zips
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


def _read_file(path: str, max_bytes: int) -> Content:
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise UnreadableImage(path, "not a regular file")
            check_size(path, before.st_size, max_bytes)
            content = file.read(before.st_size + 1)
            after = os.fstat(file.fileno())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableImage(path, reason) from error
    if (before.st_size, before.st_mtime_ns) != (len(content), after.st_mtime_ns):
        raise UnreadableImage(path, "changed while it was read")
    return Content(content, after.st_mtime_ns)


def _open_at_once(path: str, flags: int) -> int:
    # opening a pipe would wait for its writer; O_NONBLOCK does not
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
