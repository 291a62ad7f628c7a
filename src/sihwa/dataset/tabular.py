"""Images listed in a CSV or Parquet table."""

import csv
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sihwa.dataset.config import TabularConfig
from sihwa.dataset.item import Item, Source, clean_label, read_split_name
from sihwa.errors import DatasetError

Row = dict[str, str]

_MEASURED = ("sha256", "width", "height", "boxes", "copy_of", "similar")
"""Manifest columns that are measured again, so a manifest can be the table of a next run."""


def find_tabular(config: TabularConfig) -> Source:
    """List the images of a table; paths are relative to it, other columns become attributes.

    Raises:
        DatasetError: There is no row, a column is missing, or a row has no label, an unknown split
            or the path of another.
    """
    path = Path(config.path).expanduser().absolute()
    if not path.is_file():
        raise DatasetError(f"dataset.path: no table at {path}")
    rows = _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_csv(path)
    if not rows:
        raise DatasetError(f"dataset.path: {path} has no row")
    items = [_read_item(row, path, number) for number, row in enumerate(rows, start=1)]
    _require_consistent(items, path)
    return Source(items, tuple(sorted({item.label for item in items})))


def _read_csv(path: Path) -> list[Row]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: not UTF-8; save it as 'CSV UTF-8'") from error
    except (OSError, csv.Error) as error:
        raise DatasetError(f"{path}: not a readable CSV: {error}") from error
    names = [name.strip() for name in rows[0]] if rows else []
    _require_columns(names, path)
    for number, row in enumerate(rows[1:], start=1):
        if row and len(row) != len(names):
            raise DatasetError(
                f"{path}: row {number} has {len(row)} values for {len(names)} columns; quote a "
                "value that holds a comma"
            )
    return [dict(zip(names, row, strict=True)) for row in rows[1:] if row]


def _read_parquet(path: Path) -> list[Row]:
    try:
        table = pq.read_table(path, partitioning=None)
        _require_columns(table.column_names, path)
        kept = table.drop_columns([name for name in _MEASURED if name in table.column_names])
        text = pa.table({name: kept[name].cast(pa.string()) for name in kept.column_names})
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:200]
        raise DatasetError(f"{path}: not a readable Parquet table: {reason}") from error
    return [{name: value or "" for name, value in row.items()} for row in text.to_pylist()]


def _require_columns(names: list[str], path: Path) -> None:
    missing = [name for name in ("path", "label") if name not in names]
    if missing:
        raise DatasetError(
            f"{path}: expected the columns path, label and optionally group and split; missing "
            f"{' and '.join(missing)} among {', '.join(names) or 'none'}"
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DatasetError(f"{path}: the column {twice[0]!r} occurs more than once")


def _read_item(row: Row, table: Path, number: int) -> Item:
    where = f"{table}, row {number}"
    if not row["path"]:
        raise DatasetError(f"{where}: the path is empty")
    given = row.get("split", "").strip()
    split = read_split_name(given) if given else None
    if given and split is None:
        raise DatasetError(f"{where}: split must be train, calibration or test, got {given!r}")
    known = {"path", "label", "group", "split", *_MEASURED}
    return Item(
        path=str(table.parent / Path(row["path"]).expanduser()),
        label=clean_label(row["label"], where),
        group=row.get("group", "").strip() or None,
        split=split,
        attributes={name: value for name, value in row.items() if name not in known},
    )


def _require_consistent(items: list[Item], table: Path) -> None:
    first: dict[str, int] = {}
    for number, item in enumerate(items, start=1):
        if item.path in first:
            raise DatasetError(
                f"{table}: rows {first[item.path]} and {number} both list {item.path}"
            )
        first[item.path] = number
    empty = [number for number, item in enumerate(items, start=1) if item.split is None]
    if empty and len(empty) < len(items):
        raise DatasetError(
            f"{table}: row {empty[0]} has no split but others have; fill or remove the column"
        )
