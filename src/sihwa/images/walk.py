"""Folder trees listed as a stream, in one fixed order."""

import os
from collections.abc import Iterator
from typing import Literal, NamedTuple

IMAGE_SUFFIXES = (
    ".bmp", ".jfif", ".jif", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm", ".pgm", ".png", ".pnm",
    ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip
Kind = Literal["image", "other", "service", "folder link", "special", "fault"]
SERVICE_NAMES = frozenset(
    ("__macosx", "@eadir", "@recycle", "#recycle", "#snapshot", "$recycle.bin", "recycler",
     "system volume information", "lost+found")
)  # fmt: skip
"""Folders that operating systems and file servers make for themselves, in small letters."""

# a file below such a folder would have the address of an archive's member
_LIKE_A_MEMBER = (".zip!", ".tar!")


class Found(NamedTuple):
    """One entry of a folder tree."""

    path: str
    kind: Kind
    """`image` and `other` by name; `service` is a hidden name, or a folder that a system made for
    itself; `folder link` is a link to a folder that is listed elsewhere; `special` is a pipe,
    socket or device not named like an image; `fault` is a folder that cannot be listed."""
    reason: str = ""
    """Of a fault, in a few words."""


def is_image_name(path: str) -> bool:
    """Tell whether a file's name is that of an image."""
    return path.lower().endswith(IMAGE_SUFFIXES)


def service_name(path: str) -> str | None:
    """Return the first hidden or service name in a path below a root; no user keeps images there.

    >>> service_name("good/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg"), service_name("good/._1.png")
    ('@eaDir', '._1.png')
    >>> service_name("./good/1.png")
    """
    for name in path.replace("\\", "/").split("/"):
        if (name.startswith(".") and name.strip(".")) or name.lower() in SERVICE_NAMES:
            return name
    return None


def walk_folder(root: str, skip: str | None = None, *, hidden: bool = False) -> Iterator[Found]:
    """List everything below a folder, sorted by the bytes of the whole path.

    A link to a folder outside is followed, unless another link led there or it holds the root; so
    no folder is listed twice, and a loop cannot trap the walk. Hidden and service names are
    reported, not entered, unless `hidden`. No file is opened. The names of one folder, and of
    those above it, are held in memory. The folder `skip`, a real path, is left out.
    """
    root = root.rstrip("/") or "/"
    first: tuple[str, Kind | Literal["folder"]] = (root, "folder")
    open_folders = [iter([first])]
    links = _Links(root)
    while open_folders:
        path, kind = next(open_folders[-1], ("", "other"))
        if not path:
            open_folders.pop()
        elif kind == "folder link" and links.follow(path):
            open_folders.append(iter([(path, "folder")]))
        elif kind != "folder":
            yield Found(path, kind)
        elif path.lower().endswith(_LIKE_A_MEMBER):
            yield Found(path, "fault", f"a folder's name must not end in {path[-5:]}; rename it")
        elif not links.led_to(path) and (skip is None or os.path.realpath(path) != skip):
            try:
                open_folders.append(_list(path, hidden))
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                yield Found(path, "fault", f"cannot be listed: {reason}")


class _Links:
    """The links to folders that a walk follows."""

    def __init__(self, root: str) -> None:
        self._root = os.path.realpath(root)
        self._listed_at = {self._root: root}
        """Where the folder of a real path is listed: the root, and what each link led to."""

    def follow(self, link: str) -> bool:
        """Note a link and tell whether its folder is listed there, and nowhere else."""
        target = os.path.realpath(link)
        if _below(self._root, target) is not None:
            return False
        for place in self._listed_at:
            below = _below(target, place)
            if below is not None and service_name(below) is None:
                return False
        self._listed_at[target] = link
        return True

    def led_to(self, folder: str) -> bool:
        """Tell whether a folder is listed where an earlier link led to it."""
        if len(self._listed_at) == 1:  # without links, no real path is asked for
            return False
        return self._listed_at.get(os.path.realpath(folder), folder) != folder


def _below(path: str, folder: str) -> str | None:
    """Return a path relative to a folder that holds it, else None.

    >>> _below("/a/b/c", "/a"), _below("/a", "/a"), _below("/ab", "/a")
    ('b/c', '', None)
    """
    inside = path + os.sep
    prefix = folder.rstrip(os.sep) + os.sep
    return inside[len(prefix) : -1] if inside.startswith(prefix) else None


def _list(folder: str, hidden: bool) -> Iterator[tuple[str, Kind | Literal["folder"]]]:
    with os.scandir(folder) as entries:
        found = [
            (entry.name, "service" if service_name(entry.name) and not hidden else _kind(entry))
            for entry in entries
        ]
    # with a slash behind it, a folder sorts where its content does
    found.sort(key=lambda each: os.fsencode(each[0] + "/" * each[1].startswith("folder")))
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
