"""Facts about one public data set, and how file names tell its images from masks."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sihwa.dataset.item import Item, Source, clean_label, read_split_name, relative_parts
from sihwa.errors import DatasetError
from sihwa.images import Listing
from sihwa.storage.download import RemoteFile
from sihwa.terminal.names import counted


class Sample(NamedTuple):
    """One image of a set, found by its name."""

    path: str
    name: str
    """Path below the root of the set, with slashes."""
    parts: dict[str, str | None]
    """Named parts of the pattern: label, group, split and others."""


class Sorted(NamedTuple):
    """The image files of a folder, sorted by a set's patterns."""

    samples: list[Sample]
    beside: list[str]
    """Paths of masks and unlabelled images, which belong to the set but are not read as samples."""
    strangers: list[str]
    """Names of files that the patterns do not know."""


@dataclass(frozen=True, kw_only=True)
class PublicSet:
    """A public data set: its source, its terms and its layout."""

    name: str
    """As in `dataset=NAME` and `sihwa fetch NAME`."""
    title: str
    images: int
    """Labelled images, as published or counted in the published files."""
    licence: str
    citation: str
    page: str
    """Where its authors describe and offer it."""
    layout: tuple[str, ...]
    """Paths below the root, as an example for each kind of file."""
    image: str
    """Pattern of an image's path; it matches from any folder on, in any case."""
    beside: str = ""
    """Pattern of image files that are not samples, such as masks; they are never read."""
    marked_by_beside: bool = False
    """Whether the set is recognised only if such files are there."""
    labels: Mapping[str, str]
    """Class of each label in a path, in the order of the classes; empty: the label itself."""
    accept: tuple[str, ...] = ()
    groups: str = ""
    """What images of one group have in common; empty: not stated."""
    read: "Reader"
    archive: RemoteFile | None = None
    """A .zip at a stable address; None if the set must be fetched by hand."""
    by_hand: str = ""
    """How to get a set without such an address."""

    def sort(self, root: Path, listing: Listing) -> Sorted:
        """Sort image files into samples, files beside them and strangers, by name alone."""
        found = Sorted([], [], [])
        for path in listing.images:
            name = "/".join(relative_parts(path, root))
            if match := _match(self.image, name):
                found.samples.append(Sample(path, name, match.groupdict()))
            elif self.beside and _match(self.beside, name):
                found.beside.append(path)
            else:
                found.strangers.append(name)
        return found

    def share(self, root: Path, listing: Listing) -> float:
        """Return the share of image files that are named as in this set, in [0, 1]."""
        found = self.sort(root, listing)
        if not found.samples or (self.marked_by_beside and not found.beside):
            return 0.0
        return 1 - len(found.strangers) / len(listing.images)

    def find(self, root: Path, listing: Listing) -> Source:
        """List the labelled images of the set.

        Raises:
            DatasetError: No image is named as in the set, or an annotation is missing or damaged.
        """
        found = self.sort(root, listing)
        if not found.samples:
            raise DatasetError(
                f"dataset.root: expected {self.title}, with paths such as {self.layout[0]}; "
                f"{root} has {len(listing.images)} images, such as {listing.images[0]!a}; "
                f"`sihwa fetch {self.name}` shows its layout"
            )
        items, notes = self.read(self, found)
        used = {item.label for item in items}
        order = dict.fromkeys([*self.labels.values(), *sorted(used)])
        return Source(
            items,
            tuple(name for name in order if name in used),
            tuple(name for name in self.accept if name in used),
            notes=(*notes, *self._notes(items, found)),
        )

    def _notes(self, items: Sequence[Item], found: Sorted) -> list[str]:
        groups = {item.group for item in items if item.group}
        notes = [
            f"kept together: {counted(len(groups), 'group')}, {self.groups}"
            if groups
            else f"{self.title} does not say which images show the same part, so images of one "
            "part may be in several splits"
        ]
        if found.beside:
            notes.append(f"masks and other files, not read as images: {len(found.beside)}")
        if found.strangers:
            notes.append(
                f"left out, because {self.title} has no such name: "
                f"{counted(len(found.strangers), 'image')}, such as "
                f"{', '.join(map(ascii, found.strangers[:3]))}"
            )
        return notes


Reader = Callable[[PublicSet, Sorted], tuple[list[Item], list[str]]]
"""Makes items of samples, and sentences that a user should know."""


def make_item(
    public: PublicSet, sample: Sample, label: str = "", group: str = "", **attributes: str
) -> Item:
    """Return the item of a sample; label, group and split are in its path unless given.

    Raises:
        DatasetError: The path has a label that the set does not know.
    """
    written = sample.parts.get("label") or ""
    if not label and public.labels:
        label = public.labels.get(written.lower(), "")
        if not label:
            known = ", ".join(public.labels)
            raise DatasetError(f"{sample.path}: expected one of {known}; got {written!a}")
    return Item(
        sample.path,
        label or clean_label(written, sample.path),
        group=group or sample.parts.get("group"),
        split=read_split_name(sample.parts.get("split") or ""),
        attributes=attributes,
    )


def _match(pattern: str, name: str) -> re.Match[str] | None:
    return re.fullmatch(f"(?:.*/)?(?:{pattern})", name, re.IGNORECASE)
