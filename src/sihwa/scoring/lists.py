"""Lists of images that others wrote: lines of text, CSV and Parquet tables."""

import codecs
import csv
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from sihwa.errors import DatasetError
from sihwa.images import MEMBER_MARK, split_member
from sihwa.scoring.block import Entry
from sihwa.scoring.rows import file_of_row
from sihwa.terminal.names import printable

LIST_SUFFIXES = (".txt", ".lst", ".csv", ".parquet")
Listing = Iterator[Entry]
"""Files in order, as they are found."""

_COLUMNS = ("path", "path_bytes", "page")


def open_list(path: Path) -> Callable[[], Listing]:
    """Check a list; return what lists its files, whose paths are relative to the list.

    Raises:
        DatasetError: It cannot be read, is in UTF-16, or is a table without a column `path`.
    """
    suffix = path.suffix.lower()
    names: Sequence[str] = ()
    try:
        if suffix == ".parquet":
            names = pq.read_schema(path).names
        else:
            with path.open("rb") as file:
                if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
                    raise DatasetError(
                        f"{path}: expected a list in UTF-8, got UTF-16 (as PowerShell's > writes "
                        "it); save the list as UTF-8"
                    )
        if suffix == ".csv":
            with _open_csv(path) as text:
                names = csv.DictReader(text).fieldnames or ()
    except (OSError, csv.Error, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:200]
        raise DatasetError(f"{path}: not a readable list: {reason}") from error
    if suffix in (".csv", ".parquet") and "path" not in names:
        raise DatasetError(
            f"{path}: expected a column 'path' that lists the images, found "
            f"{printable(', '.join(names))[:120] or 'none'}. Write its name in small letters, and "
            "a CSV in UTF-8 with commas"
        )
    list_files = {".csv": _list_csv, ".parquet": _list_parquet}.get(suffix, _list_lines)
    return lambda: list_files(path)


def _open_csv(path: Path) -> IO[str]:
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def _list_lines(path: Path) -> Listing:
    """List the paths of a text, one a line, or ended by NUL where it holds one."""
    with path.open("rb") as file:
        head = file.read(2**16)
        file.seek(3 if head.startswith(codecs.BOM_UTF8) else 0)
        lines = (line.removesuffix(b"\n").removesuffix(b"\r") for line in file)
        for name in file.read().split(b"\0") if b"\0" in head else lines:
            if name:
                yield _entry_of(path, os.fsdecode(name))


def _list_csv(path: Path) -> Listing:
    with _open_csv(path) as file:
        rows = csv.DictReader(file)
        for row in rows:
            yield _entry_of_row(path, f"line={rows.line_num}", row)


def _list_parquet(path: Path) -> Listing:
    with pq.ParquetFile(path) as file:
        known = [name for name in _COLUMNS if name in file.schema_arrow.names]
        number = 0
        for batch in file.iter_batches(4096, columns=known):
            for row in batch.to_pylist():
                number += 1
                yield _entry_of_row(path, f"row={number}", row)


def read_column(path: Path, name: str) -> dict[str, str]:
    """Return a column of a table by the file that each row names; empty values are left out.

    Raises:
        DatasetError: The table cannot be read, or has no such column.
    """
    open_list(path)
    if path.suffix.lower() == ".parquet":
        names = pq.read_schema(path).names
    else:
        with _open_csv(path) as text:
            names = csv.DictReader(text).fieldnames or ()
    if name not in names:
        raise DatasetError(
            f"{path}: no column {printable(name)!r}; columns: {printable(', '.join(names))[:120]}"
        )
    rows: Iterable[Mapping[str, Any]]
    if path.suffix.lower() == ".parquet":
        known = [one for one in _COLUMNS if one in names]
        rows = pq.read_table(path, columns=[*known, name]).to_pylist()
    else:
        with _open_csv(path) as text:
            rows = list(csv.DictReader(text))
    return {_entry_of_row(path, "", row).path: str(row[name]) for row in rows if row[name]}


def _entry_of_row(table: Path, place: str, row: Mapping[str, Any]) -> Entry:
    """Return the file of a row; where it names none, a fault at an address of its own."""
    path, raw = row["path"], row.get("path_bytes") or None
    try:
        page = float(row.get("page") or "nan")  # pandas writes 2.0, and NaN where none is
        number = None if math.isnan(page) else int(page)
        if not path or number not in (None, page):
            raise ValueError
        return _entry_of(table, file_of_row({"path": path, "path_bytes": raw, "page": number}))
    except (TypeError, ValueError, OverflowError):
        what = "expected a path in this row of the list"
        if row.get("page") or raw:
            what += ", hex as path_bytes and a whole number as page"
        return Entry(f"{table}#{place}", fault=f"{what}; correct the row, or drop it")


def _entry_of(table: Path, name: str) -> Entry:
    inside = split_member(os.path.join(table.parent, name))  # noqa: PTH118 -- as it is written
    if inside is None:
        return Entry(str(table.parent / name))
    # a member may be called ./1.png; that is another than 1.png
    return Entry(f"{Path(inside[0])}{MEMBER_MARK}{inside[1]}")
