"""Folder trees listed as a stream, in one fixed order."""

import os
from collections.abc import Iterator
from typing import Literal, NamedTuple

IMAGE_SUFFIXES = (
    ".bmp", ".jfif", ".jif", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm", ".pgm", ".png", ".pnm",
    ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip
Kind = Literal["image", "other", "folder link", "special", "fault"]

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


def walk_folder(root: str, skip: str | None = None) -> Iterator[Found]:
    """List everything below a folder, sorted by the bytes of the whole path.

    Links to folders are reported, not followed, so a loop cannot trap the walk. No file is
    opened. The names of one folder, and of those above it, are held in memory. The folder `skip`,
    a real path, is left out.
    """
    first: tuple[str, Kind | Literal["folder"]] = (root.rstrip("/") or "/", "folder")
    open_folders = [iter([first])]
    while open_folders:
        path, kind = next(open_folders[-1], ("", "other"))
        if not path:
            open_folders.pop()
        elif kind != "folder":
            yield Found(path, kind)
        elif path.lower().endswith(_LIKE_A_MEMBER):
            yield Found(path, "fault", f"a folder's name must not end in {path[-5:]}; rename it")
        elif skip is None or os.path.realpath(path) != skip:
            try:
                open_folders.append(_list(path))
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                yield Found(path, "fault", f"cannot be listed: {reason}")


def _list(folder: str) -> Iterator[tuple[str, Kind | Literal["folder"]]]:
    with os.scandir(folder) as entries:
        found = [(entry.name, _kind(entry)) for entry in entries]
    # with a slash behind it, a folder sorts where its content does
    found.sort(key=lambda each: os.fsencode(each[0] + "/" * (each[1] == "folder")))
    prefix = folder if folder.endswith(os.sep) else folder + os.sep
    return ((prefix + name, kind) for name, kind in found)


def _kind(entry: "os.DirEntry[str]") -> Kind | Literal["folder"]:
    try:
        if entry.is_dir():
            return "folder link" if entry.is_symlink() else "folder"
        is_file = entry.is_file() or entry.is_symlink()
    except OSError:  # a loop of links; reading it gives the reason
        is_file = True
    if is_image_name(entry.name):
        return "image"
    return "other" if is_file else "special"
