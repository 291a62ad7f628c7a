"""Folder trees listed as a stream: in one fixed order, in flat memory at any size."""

import heapq
import itertools
import os
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO, Literal, NamedTuple

IMAGE_SUFFIXES = (
    ".bmp", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff",
    ".webp",
)  # fmt: skip
Kind = Literal["image", "other", "folder link", "special", "fault"]

_SORTED_IN_MEMORY = 50_000
# Each name carries its kind as trailing slashes, which no name can hold. With the first slash a
# folder sorts where its content does, so sorted names have the order of whole paths.
_FOLDER, _FOLDER_LINK, _SPECIAL = "/", "//", "///"
# a file below such a folder would have the address of an archive's member
_LIKE_A_MEMBER = (".zip!", ".tar!")


class Found(NamedTuple):
    """One entry of a folder tree."""

    path: str
    kind: Kind
    """`image` and `other` by name; `special` is a pipe, socket or device not named like an image;
    `fault` is a folder that cannot be listed."""
    reason: str = ""
    """Of a fault, in a few words."""


def is_image_name(path: str) -> bool:
    """Tell whether a file's name is that of an image."""
    # macOS leaves a `._name.jpg` of file attributes beside each image it copies or zips
    hidden = path.replace("\\", "/").rpartition("/")[2].startswith("._")
    return path.lower().endswith(IMAGE_SUFFIXES) and not hidden


def walk_folder(root: str) -> Iterator[Found]:
    """List everything below a folder, sorted by the bytes of the whole path.

    Links to folders are reported, not followed, so a loop cannot trap the walk. No file is
    opened. Names are sorted one folder at a time; those of a very large folder on disk.
    """
    # a trailing slash of the root would read as the mark of a link
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
        elif marked.endswith(_FOLDER) and path.lower().endswith(_LIKE_A_MEMBER):
            yield Found(path, "fault", f"a folder's name must not end in {path[-5:]}; rename it")
        elif marked.endswith(_FOLDER):
            try:
                open_folders.append(_list(path))
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                yield Found(path, "fault", f"cannot be listed: {reason}")
        else:
            yield Found(path, "image" if is_image_name(path) else "other")


def _list(folder: str) -> Iterator[str]:
    """Return the marked paths of a folder's entries, sorted."""
    with os.scandir(folder) as entries:
        names = _sorted(entry.name + _mark(entry) for entry in entries)
    prefix = folder if folder.endswith(os.sep) else folder + os.sep
    return (prefix + name for name in names)


def _mark(entry: "os.DirEntry[str]") -> str:
    try:
        if entry.is_dir():
            return _FOLDER_LINK if entry.is_symlink() else _FOLDER
        return "" if entry.is_file() or entry.is_symlink() else _SPECIAL
    except OSError:  # a loop of links; reading it gives the reason
        return ""


def _sorted(names: Iterable[str]) -> Iterator[str]:
    names = iter(names)
    runs: list[Iterator[str]] = []
    while chunk := list(itertools.islice(names, _SORTED_IN_MEMORY)):
        chunk.sort(key=os.fsencode)
        if not runs and len(chunk) < _SORTED_IN_MEMORY:
            return iter(chunk)
        runs.append(_spill(chunk))
    return heapq.merge(*runs, key=os.fsencode)


def _spill(names: list[str]) -> Iterator[str]:
    """Write sorted names to a temporary file and return a stream of them."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 -- closed when the stream ends
    file.writelines(os.fsencode(name) + b"\0" for name in names)
    file.seek(0)
    return _read_back(file)


def _read_back(file: IO[bytes]) -> Iterator[str]:
    with file:
        rest = b""
        while chunk := file.read(2**16):
            *whole, rest = (rest + chunk).split(b"\0")
            yield from map(os.fsdecode, whole)
