"""Image files by path: listed below a folder or in an archive, and read as bytes."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sihwa.errors import UnreadableImage
from sihwa.images.archive import (
    ARCHIVE_SUFFIXES,
    MEMBER_MARK,
    Member,
    check_size,
    identify,
    list_members,
    read_member,
    split_member,
)
from sihwa.images.walk import Found, Kind, is_image_name, service_name, walk_folder

MAX_BYTES = 2**30
_MOST_NS = 2**63 - 1
_KEPT = 1000


@dataclass(frozen=True)
class Listing:
    """The content of a folder or an archive."""

    images: tuple[str, ...]
    """Files named like images, sorted; members of an archive as `archive.zip!/name`."""
    others: int
    """Number of other files."""
    service: tuple[str, ...] = ()
    """Hidden and service folders and files, which are left out; of an archive, their members."""
    linked: tuple[str, ...] = ()
    """Links that are not followed, because the folder is listed elsewhere or holds the link."""
    other_files: tuple[str, ...] = field(default=(), compare=False)
    """The first of the other files."""


def find_images(root: Path) -> Listing:
    """List the images below a folder or in an archive, as `walk_folder` does.

    Raises:
        UnreadableImage: The archive, or a folder, cannot be listed.
    """
    found: dict[str, list[str]] = {"image": [], "other": [], "service": [], "folder link": []}
    seen = set()
    for one in (
        _walk_archive(root) if root.suffix.lower() in ARCHIVE_SUFFIXES else walk_folder(str(root))
    ):
        if one.kind == "fault":
            raise UnreadableImage(one.path, one.reason)
        if one.path not in seen:
            seen.add(one.path)
            found["other" if one.kind == "special" else one.kind].append(one.path)
    images, others, service, linked = map(sorted, found.values())
    return Listing(tuple(images), len(others), tuple(service), tuple(linked), tuple(others[:_KEPT]))


def _walk_archive(archive: Path) -> Iterator[Found]:
    for member in list_members(str(archive)):
        kind: Kind = "image" if is_image_name(member.name) else "other"
        path = f"{archive}{MEMBER_MARK}{member.name}"
        yield Found(path, "service" if service_name(member.name) else kind)


def read_bytes(path: str, max_bytes: int = MAX_BYTES) -> bytes:
    """Read a file or a member; see `read_content`."""
    return read_content(path, max_bytes=max_bytes)[0]


def read_content(
    path: str, member: Member | None = None, max_bytes: int = MAX_BYTES
) -> tuple[bytes, int]:
    """Read a file, or a member of an archive written as `archive.zip!/name`.

    `member` saves listing its .tar, if known. The number is the time of the last change in ns
    since 1970, of the archive for a member.

    Raises:
        UnreadableImage: Missing, not a regular file, larger than `max_bytes`, damaged, or changed
            while it was read.
    """
    inside = split_member(path)
    if inside is None:
        return _read_file(path, max_bytes)
    archive = identify(inside[0])
    content = read_member(*inside, max_bytes, member)
    if identify(inside[0]) != archive:
        raise UnreadableImage(path, "the archive changed while it was read")
    return content, _bounded(archive.modified_ns)


def identify_file(path: str) -> tuple[int | None, int] | None:
    """Return size in bytes and time of the last change in ns, or None if there is no file.

    A member has the time of its archive; its size is None, because the archive is not opened.
    """
    inside = split_member(path)
    try:
        facts = Path(inside[0] if inside else path).stat()
    except (OSError, ValueError):
        return None
    return None if inside else facts.st_size, _bounded(facts.st_mtime_ns)


def _bounded(time_ns: int) -> int:
    """Limit a time to the years 1678 to 2262, which an int64 of nanoseconds holds."""
    return max(-_MOST_NS, min(time_ns, _MOST_NS))


def _read_file(path: str, max_bytes: int) -> tuple[bytes, int]:
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
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
    return content, _bounded(after.st_mtime_ns)


def _open_without_waiting(path: str, flags: int) -> int:
    # without O_NONBLOCK, opening a pipe waits for its writer
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
