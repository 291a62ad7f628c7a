"""Labelled images or scores that a finished inspector is measured on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sihwa.dataset import ImageFolderConfig, TabularConfig
from sihwa.dataset.groups import read_groups
from sihwa.dataset.image_folder import find_image_folder
from sihwa.dataset.item import Item, Source, clean_label
from sihwa.dataset.table_file import TableRow, read_table
from sihwa.dataset.tabular import find_tabular
from sihwa.errors import DatasetError
from sihwa.terminal.names import counted

PROBABILITY = "probability_"
"""What the columns of a score table begin with that hold the probability of a class."""


@dataclass(frozen=True)
class LabelSource:
    """Where labels are, and how they are read."""

    path: Path
    """A folder or .zip with a folder per class, a table, or a score table."""
    label: str = "label"
    """Column of a table that holds the labels."""
    group: str | None = None
    """As `dataset.group`: column:NAME, pattern:REGEX, ...; None takes the column `group`."""
    root: str | None = None
    """Folder that the paths of a table are relative to; None is the table's."""
    exclude: Sequence[str] = ()
    """Globs of images that are not read."""


@dataclass(frozen=True)
class Labelled:
    """Labelled images, N."""

    items: list[Item]
    scores: list[Mapping[str, str]] | None
    """Rows of a score table, N; None where the images are still to be inspected."""
    notes: tuple[str, ...]


def read_labelled(source: LabelSource) -> Labelled:
    """List labelled images, or read a score table that somebody has labelled.

    Where the source gives splits, only its test images are taken. Rows of a score table without a
    label are left out.

    Raises:
        DatasetError: There is no labelled image, or they cannot be read.
        ConfigError: The group setting is wrong.
    """
    path, scores = source.path.expanduser(), None
    if path.is_dir() or path.suffix.lower() == ".zip":
        if source.label != "label":
            raise DatasetError(f"--label names a column, but {path} is no table; leave it out")
        found = find_image_folder(ImageFolderConfig(root=str(path), exclude=[*source.exclude]))
    elif not path.is_file():
        raise DatasetError(
            "expected a folder with a folder per class, or a table (.csv, .parquet), found "
            f"nothing at {path}"
        )
    else:
        rows, _ = read_table(path, source.label)
        if any(name.startswith(PROBABILITY) for name in rows[0].cells):
            found, scores = _scored(rows, path)
        else:
            table = TabularConfig(path=str(path), root=source.root, exclude=[*source.exclude])
            found = find_tabular(table, source.label)
    return _chosen(found, scores, source.group)


def _scored(rows: Sequence[TableRow], path: Path) -> tuple[Source, list[Mapping[str, str]]]:
    """Return the labelled rows of a score table."""
    kept = [row for row in rows if row.cells["label"].strip()]
    if not kept:
        raise DatasetError(f"{path}: no row has a label")
    notes: tuple[str, ...] = ()
    if lacking := len(rows) - len(kept):
        notes = (f"{counted(lacking, 'row')} of {path.name} without a label: left out",)
    items = [
        Item(
            row.cells["path"],
            clean_label(row.cells["label"], f"{path}, {row.place}"),
            group=row.cells.get("group", "").strip() or None,
            split=row.cells.get("split", "").strip() or None,
            attributes=row.cells,
        )
        for row in kept
    ]
    return Source(items, (), notes=notes), [row.cells for row in kept]


def _chosen(found: Source, scores: list[Mapping[str, str]] | None, group: str | None) -> Labelled:
    """Return the test images, with their groups."""
    items, notes = found.items, list(found.notes)
    if group == "column:group":  # a column that every table may have is no attribute
        items = [replace(one, attributes={"group": one.group or ""}) for one in items]
    if group is not None:
        items = read_groups(group, items, [None] * len(items))
    rows = [row for row, one in enumerate(items) if one.split in (None, "test")]
    if not rows:
        raise DatasetError("the labelled images have splits, but none is in the test split")
    if left := len(items) - len(rows):
        notes.append(
            f"{counted(left, 'image')} of the splits train and calibration: left out, because "
            "the inspector was made from such images"
        )
    return Labelled(
        [items[row] for row in rows],
        None if scores is None else [scores[row] for row in rows],
        tuple(notes),
    )
