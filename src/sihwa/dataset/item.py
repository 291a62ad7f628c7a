"""Labelled images as a source lists them, before they are read."""

import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from pathlib import Path
from typing import NamedTuple

from sihwa.dataset.file_choice import listing_notes, suffixes_of, without_excluded
from sihwa.errors import DatasetError, UnreadableImage
from sihwa.images import Listing, find_images
from sihwa.terminal.names import class_name_fault, text_of_name

_INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff]")
"""Letters without a width: of text that was copied, and the mark of UTF-8 in joined tables."""
_OF_DATA = re.compile(r"[ _-]?(data|dataset|images|imgs|set|split)$")
_SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("calibration", "val", "valid", "validation"), "calibration"),
    **dict.fromkeys(("test", "testing"), "test"),
}


class Box(NamedTuple):
    """A marked defect: pixel edges in its image, the right and lower edge inclusive."""

    label: str
    xmin: int
    ymin: int
    xmax: int
    ymax: int


@dataclass(frozen=True)
class Item:
    """One labelled image."""

    path: str
    label: str
    group: str | None = None
    """Part, coil, lot or module; images of one group stay in one split."""
    split: str | None = None
    """train, calibration or test, if the source gives it."""
    boxes: tuple[Box, ...] | None = None
    """Marked defects; None if the source marks none."""
    attributes: dict[str, str] = field(default_factory=dict)
    """Other facts of the source, kept as columns of the manifest."""


@dataclass(frozen=True)
class Source:
    """All images of a data set."""

    items: list[Item]
    classes: tuple[str, ...]
    accept_classes: tuple[str, ...] = ()
    """Classes that pass by default."""
    notes: tuple[str, ...] = ()
    """What a user should know about how it was read; each one sentence."""
    name: str = ""
    """Of the data set, where the settings leave it open."""
    licence: str = ""
    """Of the images, where the settings leave it open."""


class Root(NamedTuple):
    """The images below a root, without those that are excluded."""

    place: Path
    """Absolute."""
    listing: Listing
    notes: tuple[str, ...]
    """Notes on files that are not read."""


def list_root(root: str, exclude: Sequence[str] = ()) -> Root:
    """List the images below a root but those that the globs exclude; refuse one without any."""
    if not root.strip():
        raise DatasetError("dataset.root: empty path; use . for the current directory")
    place = Path(root).expanduser().absolute()
    if not place.is_dir() and not (place.is_file() and place.suffix.lower() == ".zip"):
        got = "another file" if place.exists() else "nothing"
        raise DatasetError(f"dataset.root: expected a folder or a .zip, found {got} at {place}")
    try:
        listing = find_images(place)
    except UnreadableImage as error:
        raise DatasetError(f"dataset.root: {error}") from error
    if not listing.images:
        others = listing.others + len(listing.service)
        raise DatasetError(
            f"dataset.root: no image in {place}, only {others} other files"
            f"{suffixes_of(listing.other_files)}"
        )
    names = ["/".join(relative_parts(path, place)) for path in listing.images]
    kept, notes = without_excluded(exclude, names)
    chosen = replace(listing, images=tuple(compress(listing.images, kept)))
    return Root(place, chosen, (*listing_notes(listing), *notes))


def relative_parts(path: str, root: Path) -> list[str]:
    """Return the folders and the file name of an image below its root."""
    return path[len(str(root)) :].lstrip("!").strip("/\\").replace("\\", "/").split("/")


def neighbour(path: str, levels: int, *names: str) -> str:
    """Return the path below the folder that is `levels` above a file or an archive member.

    >>> neighbour("set.zip!/train_images/a.jpg", 2, "train.csv")
    'set.zip!/train.csv'
    """
    parts = re.split(r"[/\\]" if os.sep == "\\" else "/", path)
    return "/".join([*parts[:-levels], *names])


def read_split_name(name: str) -> str | None:
    """Return the split that a folder or cell names, or None.

    >>> read_split_name("Validation"), read_split_name("test_set"), read_split_name("tested")
    ('calibration', 'test', None)
    """
    return _SPLIT_NAMES.get(_OF_DATA.sub("", name.strip().lower()))


def normal_label(label: str) -> str:
    """Return a label in Unicode form NFC, without spaces around it or letters without a width.

    It may be no valid label.
    """
    return unicodedata.normalize("NFC", _INVISIBLE.sub("", label)).strip()


def clean_label(label: str, where: str) -> str:
    """Return a label in Unicode form NFC, without spaces around it.

    macOS stores file names decomposed (NFD), so one Korean name would give two classes.
    """
    clean = normal_label(label)
    fault = class_name_fault(clean)
    if text_of_name(clean)[1] is not None:
        fault = "is not UTF-8"
    if fault:
        raise DatasetError(f"{where}: the label {label!a} {fault}; rename it")
    return clean
