"""What a source of labelled images gives, before the images are looked at."""

import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from sihwa.errors import DatasetNotFound, EmptyDataset, InvalidLabels, UnreadableImage
from sihwa.images import Listing, find_images
from sihwa.terminal.class_name import class_name_fault

_SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "calibration": "calibration",
    "val": "calibration",
    "valid": "calibration",
    "validation": "calibration",
    "test": "test",
    "testing": "test",
}


class Box(NamedTuple):
    """A marked defect: pixel edges within its image, the right and lower ones inclusive."""

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
    """What it must not be separated from: part, coil, lot, module."""
    split: str | None = None
    """train, calibration or test, where the source says so."""
    boxes: tuple[Box, ...] | None = None
    """Marked defects; None where nobody marked any."""
    attributes: dict[str, str] = field(default_factory=dict)
    """Anything else the source knows, kept as columns of the manifest."""


@dataclass(frozen=True)
class Source:
    """All images of a data set."""

    items: list[Item]
    classes: tuple[str, ...]
    accept_classes: tuple[str, ...] = ()
    """Classes that pass unless the settings name others."""
    notes: tuple[str, ...] = ()
    """What a user should know about how it was read."""


def list_root(root: str) -> tuple[Path, Listing]:
    """Return the absolute root and the images in it.

    Raises:
        DatasetNotFound: There is neither a folder nor a .zip.
        EmptyDataset: It holds no image.
    """
    if not root.strip():
        raise DatasetNotFound(
            "dataset.root: expected a folder or a .zip, got nothing; . is the current folder"
        )
    place = Path(root).expanduser().absolute()
    if not place.is_dir() and not (place.is_file() and place.suffix.lower() == ".zip"):
        came = "a file that is no .zip" if place.exists() else "nothing"
        raise DatasetNotFound(f"dataset.root: expected a folder or a .zip, found {came}: {place}")
    try:
        listing = find_images(place)
    except UnreadableImage as error:
        raise DatasetNotFound(f"dataset.root: {error}") from error
    except OSError as error:
        raise DatasetNotFound(f"dataset.root: {error.filename}: {error.strerror}") from error
    if not listing.images:
        raise EmptyDataset(
            f"dataset.root: no image in {place} (it holds {listing.others} other files)"
        )
    return place, listing


def relative_parts(path: str, root: Path) -> list[str]:
    """Return the names of folders and file of an image below its root."""
    return path[len(str(root)) :].lstrip("!").strip("/\\").replace("\\", "/").split("/")


def read_split_name(name: str) -> str | None:
    """Return the split that a folder or cell names, or None.

    >>> read_split_name("Validation")
    'calibration'
    """
    return _SPLIT_NAMES.get(name.strip().lower())


def clean_label(label: str, where: str) -> str:
    """Return a label in the one spelling that equals itself on every file system.

    macOS writes Korean letters in parts (NFD), everyone else whole (NFC).

    Raises:
        InvalidLabels: It is empty or holds a control character.
    """
    clean = unicodedata.normalize("NFC", label).strip()
    fault = class_name_fault(clean)
    if fault:
        raise InvalidLabels(f"{where}: the label {label!a} {fault}; rename it")
    return clean
