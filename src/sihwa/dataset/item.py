"""Labelled images as a source lists them, before they are read."""

import os
import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from sihwa.errors import DatasetError, UnreadableImage
from sihwa.images import Listing, find_images
from sihwa.terminal.names import class_name_fault

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


def list_root(root: str) -> tuple[Path, Listing]:
    """Return the absolute root and the images in it; refuse one without any."""
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
        raise DatasetError(f"dataset.root: no image in {place}, only {listing.others} other files")
    return place, listing


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

    >>> read_split_name("Validation")
    'calibration'
    """
    return _SPLIT_NAMES.get(name.strip().lower())


def clean_label(label: str, where: str) -> str:
    """Return a label in Unicode form NFC, without spaces around it.

    macOS stores file names decomposed (NFD), so one Korean name would give two classes.
    """
    clean = unicodedata.normalize("NFC", label).strip()
    fault = class_name_fault(clean)
    if fault:
        raise DatasetError(f"{where}: the label {label!a} {fault}; rename it")
    return clean
