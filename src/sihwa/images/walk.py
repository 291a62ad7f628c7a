"""Folders listed as a stream: in one fixed order, with flat memory whatever they hold."""

import heapq
import itertools
import os
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO, Literal, NamedTuple

from sihwa.images.source import is_image_name

Kind = Literal["image", "other", "folder link", "special", "fault"]
_SORTED_IN_MEMORY = 50_000

# What a name is, written after it. With the first counted, sorted names have the order that
# whole paths have; no name holds a slash.
_FOLDER, _FOLDER_LINK, _SPECIAL = "/", "//", "///"


class Found(NamedTuple):
    """One thing in a folder tree."""

    path: str
    kind: Kind
    """`image` and `other` by their names; `special` is a pipe, socket or device that is not named
    like an image; `fault` is a folder that cannot be listed."""
    reason: str = ""
    """Of a fault, in a few words."""


def walk_folder(root: str) -> Iterator[Found]:
    """List all that lies below a folder, sorted by the bytes of the whole path.

    Links to folders are named, not followed, so no loop can be walked. Nothing is opened. One
    folder's names at a time are sorted; those of a very large one on disk.
    """
    # a slash that was given with the name would read as the mark of a link
    open_folders = [iter([(root.rstrip("/") or "/") + _FOLDER])]
    while open_folders:
        marked = next(open_folders[-1], None)
        if marked is None:
            open_folders.pop()
            continue
        path = marked.rstrip("/") or "/"
        if marked.endswith(_SPECIAL):
            yield Found(path, "image" if is_image_name(path) else "special")
        elif marked.endswith(_FOLDER_LINK) and path != "/":
            yield Found(path, "folder link")
        elif marked.endswith(_FOLDER):
            try:
                open_folders.append(_list(path))
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                yield Found(path, "fault", f"cannot be listed: {reason}")
        else:
            yield Found(path, "image" if is_image_name(path) else "other")


def _list(folder: str) -> Iterator[str]:
    """Return the paths of what lies in a folder, marked and sorted."""
    with os.scandir(folder) as entries:
        names = _sorted(entry.name + _mark(entry) for entry in entries)
    prefix = folder if folder.endswith(os.sep) else folder + os.sep
    return (prefix + name for name in names)


def _mark(entry: "os.DirEntry[str]") -> str:
    try:
        if entry.is_dir():
            return _FOLDER_LINK if entry.is_symlink() else _FOLDER
        return "" if entry.is_file() or entry.is_symlink() else _SPECIAL
    except OSError:  # a loop of links: reading it says so
        return ""


def _sorted(names: Iterable[str]) -> Iterator[str]:
    names = iter(names)
    runs: list[Iterator[str]] = []
    while chunk := list(itertools.islice(names, _SORTED_IN_MEMORY)):
        chunk.sort(key=os.fsencode)
        if not runs and len(chunk) < _SORTED_IN_MEMORY:
            return iter(chunk)
        runs.append(_spilled(chunk))
    return heapq.merge(*runs, key=os.fsencode)


def _spilled(names: list[str]) -> Iterator[str]:
    """Write sorted names to a file without a name, and return a stream of them."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 -- closed when the stream ends
    file.writelines(os.fsencode(name) + b"\0" for name in names)
    file.seek(0)
    return _read_back(file)


def _read_back(file: IO[bytes]) -> Iterator[str]:
    with file:
        rest = b""
        while piece := file.read(2**16):
            *whole, rest = (rest + piece).split(b"\0")
            yield from map(os.fsdecode, whole)
