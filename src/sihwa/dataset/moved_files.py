"""Where the images of a table are now: in another Unicode form, below another folder, moved."""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from sihwa.dataset.manifest import Manifest
from sihwa.errors import DatasetError, UnreadableImage
from sihwa.images import find_images, map_with_progress, read_bytes, split_member
from sihwa.storage import sha256_of_bytes

_OF_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")


def is_absolute(path: str) -> bool:
    r"""Tell whether a path is absolute on this system or on Windows.

    >>> is_absolute("/data/1.png"), is_absolute(r"D:\parts\1.png"), is_absolute(r"\\nas\1.png")
    (True, True, True)
    >>> is_absolute(r"good\1.png")
    False
    """
    path = path.strip()
    return Path(path).is_absolute() or bool(_OF_WINDOWS.match(path))


def is_foreign(path: str) -> bool:
    """Tell whether a path is absolute on Windows and this system is another."""
    return os.name != "nt" and bool(_OF_WINDOWS.match(path.strip()))


def find_file(folder: Path, written: str) -> str:
    """Return the path of a file below a folder as the disk spells it.

    What is there as written is taken so; else without spaces around it, with slashes for
    backslashes, in another Unicode form, or in another case where only one such name is there.
    A file that is not there keeps the name without spaces.
    """
    if split_member(written) or (folder / written).exists():
        return str(folder / written)
    clean = written.strip().strip("\ufeff")  # the mark of UTF-8, within a joined table
    for name in (clean, clean.replace("\\", "/")):
        found: Path | None = folder
        for part in Path(name).parts:
            found = found and _child(found, part)
        if found:
            return str(found)
    return str(folder / clean)


def _child(folder: Path, name: str) -> Path | None:
    child = folder / name
    if name == folder.anchor or child.exists():
        return child
    names = _names_in(str(folder))
    normal = unicodedata.normalize("NFC", name)
    same = [one for one in names if unicodedata.normalize("NFC", one) == normal]
    alike = same or [
        one for one in names if unicodedata.normalize("NFC", one).casefold() == normal.casefold()
    ]
    return folder / alike[0] if len(alike) == 1 else None


@lru_cache(maxsize=64)
def _names_in(folder: str) -> tuple[str, ...]:
    try:
        return tuple(child.name for child in Path(folder).iterdir())
    except OSError:
        return ()


def find_moved(
    setting: str, root: str, paths: Sequence[str], sha256: Sequence[str] | None = None
) -> list[str]:
    """Return where images are below a root, by the ends of their paths, or by content.

    As many folders are cut from the begin of all paths as it takes for all of them to be there.
    With `sha256` the content must be the same; images that are elsewhere are then found by it.

    Args:
        setting: Its name, for messages.
        root: Folder or .zip to which they moved.
        paths: Where they were, N; from Windows, too.
        sha256: Their contents, N, if known.

    Raises:
        DatasetError: The root does not exist, or images are not there.
    """
    place = Path(root).expanduser().absolute()
    if not root.strip() or not place.exists():
        raise DatasetError(
            f"{setting}: expected the folder of the images, found nothing at {root!r}"
        )
    try:
        images = find_images(place).images
    except UnreadableImage as error:
        raise DatasetError(f"{setting}: {error}") from error
    below = {_normal(path[len(str(place)) :].lstrip("!")): path for path in images}
    names = [_normal(path) for path in paths]
    found = _by_ends(names, below)
    if not all(found):
        found = _by_ends([name.casefold() for name in names], _without_case(below))
    if sha256 is not None:
        found = _by_content(found, images, sha256)
    missing = [path for path, now in zip(paths, found, strict=True) if now is None]
    if missing:
        raise DatasetError(
            f"{setting}: {len(missing)} of {len(paths)} images are not below {place}, such as "
            f"{missing[0]}"
        )
    return [str(now) for now in found]


def _by_ends(names: Sequence[str], below: Mapping[str, str]) -> list[str | None]:
    """Return the files with the ends of these names, N; the cut that finds the most."""
    parts = [name.split("/") for name in names]
    found: list[str | None] = [None] * len(names)
    for cut in range(min((len(one) for one in parts), default=0)):
        there = [below.get("/".join(one[cut:])) for one in parts]
        if sum(map(bool, there)) > sum(map(bool, found)):
            found = there
        if all(found):
            break
    return found


def _without_case(below: Mapping[str, str]) -> dict[str, str]:
    """Return files by their names in small letters, without those that this makes equal."""
    count = Counter(name.casefold() for name in below)
    return {name.casefold(): path for name, path in below.items() if count[name.casefold()] == 1}


def move_manifest(manifest: Manifest, root: str) -> Manifest:
    """Return the manifest of images that moved below a root; their content must be the same.

    Raises:
        DatasetError: The root does not exist, or an image is not there.
    """
    known: list[str] = manifest.table["sha256"].to_pylist()
    return manifest.with_files(find_moved("dataset.root", root, manifest.files, known))


def _by_content(
    found: Sequence[str | None], images: Sequence[str], sha256: Sequence[str]
) -> list[str | None]:
    """Return the images with these contents: those found, if they have them, else any other."""
    wanted = set(sha256)
    content = dict(zip(images, map_with_progress("comparing", _content_of, images), strict=True))
    place = {one: path for path, one in reversed(content.items()) if one in wanted}
    return [
        now if now is not None and content[now] == one else place.get(one)
        for now, one in zip(found, sha256, strict=True)
    ]


def _content_of(path: str) -> str | None:
    try:
        return sha256_of_bytes(read_bytes(path))
    except UnreadableImage:
        return None


def _normal(path: str) -> str:
    """Return a path with slashes, in Unicode form NFC, without one at its begin."""
    return unicodedata.normalize("NFC", path.strip().replace("\\", "/")).lstrip("/")
