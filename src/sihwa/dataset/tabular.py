"""Images listed in a table."""

import re
from collections.abc import Sequence
from itertools import compress
from os.path import normpath
from pathlib import Path

from sihwa.dataset.config import TabularConfig
from sihwa.dataset.file_choice import mask_notes, without_excluded
from sihwa.dataset.item import Item, Source, clean_label, read_split_name
from sihwa.dataset.moved_files import find_file, find_moved, is_absolute, is_foreign
from sihwa.dataset.table_file import MEASURED, TableRow, read_table
from sihwa.errors import DatasetError, carrying
from sihwa.images import split_member
from sihwa.terminal.names import name_of_text

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def find_tabular(config: TabularConfig, label: str = "label") -> Source:
    """List the images of a table; columns that are not known become attributes.

    Paths are relative to the table, or to `config.root`. Absolute ones that are not there are
    looked for below `config.root`: by content, if the table is the manifest of a run, else by the
    ends of the paths. The labels are in the column `label`, or in another one.

    Raises:
        DatasetError: There is no row, a column is missing, or a row has no label, an unknown split
            or the path of another.
    """
    path = Path(config.path).expanduser().absolute()
    if not path.is_file():
        raise DatasetError(f"dataset.path: no table at {path}")
    rows, notes = read_table(path, label)
    with carrying(notes):
        return _read_rows(rows, config, path, notes)


def _read_rows(
    rows: list[TableRow], config: TabularConfig, path: Path, notes: Sequence[str]
) -> Source:
    kept, excluded = without_excluded(
        config.exclude, [row.cells["path"].strip().replace("\\", "/").lstrip("/") for row in rows]
    )
    rows = list(compress(rows, kept))
    files = _find_files(rows, path, config.root)
    items = [_read_item(row, path, file) for row, file in zip(rows, files, strict=True)]
    _require_consistent(items, rows, path)
    _require_there(items, path)
    notes = (*notes, *excluded, *mask_notes([row.cells["path"] for row in rows]))
    return Source(items, tuple(sorted({item.label for item in items})), notes=notes)


def _find_files(rows: Sequence[TableRow], table: Path, root: str | None) -> list[str]:
    """Return the file of each row."""
    written = [_written_path(row, table) for row in rows]
    base = Path(root).expanduser().absolute() if root else table.parent
    if root is not None and (any(map(is_absolute, written)) or "sha256" in rows[0].cells):
        moved = [one for one, path in enumerate(written) if is_absolute(path)]
        known = [rows[one].cells.get("sha256", "") for one in moved]
        now = find_moved(
            "dataset.root",
            root,
            [written[one] for one in moved],
            known if known and all(known) else None,
        )
        for one, path in zip(moved, now, strict=True):
            written[one] = path
    foreign = next((one for one, path in enumerate(written) if is_foreign(path)), None)
    if foreign is not None:
        raise DatasetError(
            f"{table}, {rows[foreign].place}: {written[foreign].strip()} is a path of another "
            "computer; name the folder that holds these images here with dataset.root=FOLDER"
        )
    return [find_file(base, path) for path in written]


def _written_path(row: TableRow, table: Path) -> str:
    """Return the path of a row, as the operating system spells it."""
    where = f"{table}, {row.place}"
    path = row.cells["path"]
    if not path.strip():
        raise DatasetError(f"{where}: the path is empty")
    if _ADDRESS.match(path.strip()):
        raise DatasetError(
            f"{where}: {path.strip()[:80]} is an address, not a file; download the images and "
            "write their paths"
        )
    try:
        path = name_of_text(path, row.cells.get("path_bytes") or None)
    except ValueError as error:
        raise DatasetError(f"{where}: path_bytes must be hex: {error}") from error
    return str(Path(path.strip()).expanduser()) if path.strip().startswith("~/") else path


def _read_item(row: TableRow, table: Path, file: str) -> Item:
    where, cells = f"{table}, {row.place}", row.cells
    given = cells.get("split", "").strip()
    split = read_split_name(given) if given else None
    if given and split is None:
        raise DatasetError(f"{where}: split must be train, calibration or test, got {given!r}")
    known = {"path", "label", "group", "split", *MEASURED}
    return Item(
        path=file,
        label=clean_label(cells["label"], where),
        group=cells.get("group", "").strip() or None,
        split=split,
        attributes={name: value for name, value in cells.items() if name not in known},
    )


def _require_consistent(items: Sequence[Item], rows: Sequence[TableRow], table: Path) -> None:
    first: dict[str, str] = {}
    for item, row in zip(items, rows, strict=True):
        place = first.setdefault(normpath(item.path), row.place)
        if place != row.place:
            raise DatasetError(f"{table}: {place} and {row.place} both list {item.path}")
    empty = [row.place for item, row in zip(items, rows, strict=True) if item.split is None]
    if empty and len(empty) < len(items):
        raise DatasetError(
            f"{table}: {empty[0]} has no split but others have; fill or remove the column"
        )


def _require_there(items: Sequence[Item], table: Path) -> None:
    """Refuse a table of which no image is there: its paths have another root."""
    if not any(split_member(item.path) or Path(item.path).exists() for item in items):
        raise DatasetError(
            f"{table}: none of its {len(items)} images is there, such as {items[0].path}; name the "
            "folder that the paths are relative to, or that holds the images now, with "
            "dataset.root=FOLDER"
        )
