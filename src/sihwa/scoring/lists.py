"""Lists of images that others wrote: lines of text, CSV and Parquet tables, read as a stream."""

import codecs
import contextlib
import csv
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from sihwa.errors import DatasetError
from sihwa.images import MEMBER_MARK, split_member
from sihwa.scoring.block import Entry
from sihwa.scoring.rows import file_of_row

Listing = Iterator[Entry]
"""Files in order, as they are found."""

_TEXT = "(large_)?string(_view)?"
_KINDS = {"path": _TEXT, "path_bytes": _TEXT, "page": f"u?int[0-9]+|float|double|{_TEXT}"}
"""The columns that name a file, and the kinds of Arrow that they may have."""

_NOT_UTF8 = (
    "No such file; its name is not UTF-8, so the list may not be either (cp949 on Korean Windows): "
    "save it as UTF-8"
)


def list_lines(path: Path) -> Listing:
    """List the paths of a text, one a line, or ended by NUL where it holds one."""
    with path.open("rb") as file:
        end = b"\0" if b"\0" in file.read(2**16) else b"\n"
        file.seek(0)
        for line in _split(file, end):
            name = line.removesuffix(b"\r") if end == b"\n" else line
            if name:
                yield _listed(path, os.fsdecode(name))


def _split(file: IO[bytes], end: bytes) -> Iterator[bytes]:
    rest = b""
    first = True
    while piece := file.read(2**16):
        if first:
            piece, first = piece.removeprefix(b"\xef\xbb\xbf"), False
        *whole, rest = (rest + piece).split(end)
        yield from whole
    yield rest


def list_csv(path: Path) -> Listing:
    """List the files that the rows of a CSV name."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        rows = csv.DictReader(file)
        for row in rows:
            yield _from_row(path, f"line={rows.line_num}", row)


def list_parquet(path: Path) -> Listing:
    """List the files that the rows of a Parquet table name."""
    with pq.ParquetFile(path) as file:
        known = [name for name in _KINDS if name in file.schema_arrow.names]
        number = 0
        for batch in file.iter_batches(4096, columns=known):
            for row in batch.to_pylist():
                number += 1
                yield _from_row(path, f"row={number}", row)


def _from_row(table: Path, place: str, row: Mapping[str, Any]) -> Entry:
    """Return the file of a row; where it names none, what is wrong, at an address of its own."""
    try:
        return _listed(table, _file_of(row))
    except ValueError as error:
        return Entry(f"{table}#{place}", fault=str(error))


def _file_of(row: Mapping[str, Any]) -> str:
    """Return the file that a row of anybody's table names.

    >>> _file_of({"path": "스캔.tif#page=2", "page": "2.0"})  # pandas, where a page is missing
    '스캔.tif'
    """
    if not row.get("path"):
        raise ValueError("expected a path in this row of the list, got none; write one or drop it")
    page, raw = row.get("page"), row.get("path_bytes") or None
    try:
        number = math.nan if page in (None, "") else float(page)
    except ValueError:
        number = math.inf
    if not (math.isnan(number) or number.is_integer()):
        raise ValueError(
            f"expected a whole number as page in this row of the list, got {str(page)[:40]!r}"
        )
    try:
        return file_of_row(
            {
                "path": row["path"],
                "path_bytes": raw,
                "page": None if math.isnan(number) else int(number),
            }
        )
    except ValueError as error:
        raise ValueError(
            f"expected hex as path_bytes in this row of the list, got {str(raw)[:40]!r}"
        ) from error


def _listed(table: Path, name: str) -> Entry:
    path = str(table.parent / name)
    inside = split_member(os.path.join(table.parent, name))  # noqa: PTH118 -- as it is written
    if inside is not None:  # a member may be called ./1.png; that is another than 1.png
        path = f"{Path(inside[0])}{MEMBER_MARK}{inside[1]}"
    elif not _is_unicode(path) and not os.path.lexists(path):
        return Entry(path, fault=_NOT_UTF8)
    return Entry(path)


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def require_utf8(path: Path) -> None:
    """Refuse a list in UTF-16, which `>` in PowerShell writes; what cannot be read is told later.

    Raises:
        DatasetError: It begins with the mark of UTF-16.
    """
    with contextlib.suppress(OSError), path.open("rb") as file:
        if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise DatasetError(
                f"{path}: expected a list in UTF-8, got UTF-16 (as PowerShell's > writes it); "
                "save the list as UTF-8"
            )


def csv_names(path: Path) -> Sequence[str]:
    """Return the names of a CSV's columns.

    Raises:
        DatasetError: It cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            return csv.DictReader(file).fieldnames or ()
    except (OSError, csv.Error) as error:
        raise DatasetError(f"{path}: not a readable CSV: {error}") from error


def parquet_names(path: Path) -> Sequence[str]:
    """Return the names of a Parquet table's columns.

    Raises:
        DatasetError: It cannot be read, or a column that names files is of another kind.
    """
    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:200]
        raise DatasetError(f"{path}: not a readable Parquet table: {reason}") from error
    for field in schema:
        packed = pa.types.is_dictionary(field.type)
        kind = field.type.value_type if packed else field.type
        wanted = _KINDS.get(field.name, ".*")
        if not re.fullmatch(f"null|{wanted}", str(kind), re.DOTALL):
            what = "a number" if field.name == "page" else "text"
            raise DatasetError(
                f"{path}: expected {what} in column {field.name!r}, got {str(kind)[:80]}; "
                "write the column anew"
            )
    names: Sequence[str] = schema.names
    return names


def require_path(names: Sequence[str], word: str) -> None:
    """Refuse a table without a column of paths.

    Raises:
        DatasetError: There is none.
    """
    if "path" not in names:
        found = ", ".join(names)
        raise DatasetError(
            f"{word}: expected a column 'path' that lists the images, found "
            f"{_decoded(found)[:120] or 'none'}{_advice(found)}"
        )


def _decoded(text: str) -> str:
    """Return a text whose bytes are not UTF-8 as Korean Windows reads it."""
    raw = text.encode("utf-8", "surrogateescape")
    return text if _is_unicode(text) else raw.decode("cp949", "backslashreplace")


def _advice(found: str) -> str:
    if not _is_unicode(found):
        return "; it is not UTF-8 (read here as cp949): in Excel, save it as 'CSV UTF-8'"
    words = re.split(r"[,;\t|]", found.lower())
    if "path" not in [word.strip(" \"'") for word in words]:
        return ""
    if re.search(r"[;\t|]", found):
        return "; separate the columns by commas"
    return "; write its name as path, in small letters and without spaces"
