"""Tables of labels as people and programs save them: CSV, TSV, Parquet, JSON."""

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from sihwa.dataset.exports import SEVERAL, Cells, as_table, read_json
from sihwa.errors import DatasetError

MEASURED = ("path_bytes", "sha256", "width", "height", "boxes", "copy_of", "similar", "exif_time")
"""Manifest columns that are measured again, so a manifest can be the table of a next run."""
_KNOWN = ("path", "label", "group", "split")
_SEPARATORS = (",", ";", "\t")
_KOREAN = re.compile(
    r"[\x00-\x7f\u1100-\u11ff\u3000-\u303f\u3130-\u318f\uac00-\ud7a3\uff01-\uff5e]*"
)


class TableRow(NamedTuple):
    """One row of a table."""

    place: str
    """`line 7` of a text, `row 6` of another file."""
    cells: Cells


class TableContent(NamedTuple):
    """The rows of a table, all with the columns path and label."""

    rows: list[TableRow]
    notes: list[str]


def read_table(path: Path, label: str = "label") -> TableContent:
    """Read a table; the suffix of its name gives the format.

    Args:
        path: Of the table.
        label: Column that becomes `label`; another column of that name is dropped.

    Raises:
        DatasetError: It cannot be read, lacks a column, or has a row of another length.
    """
    suffix = path.suffix.lower()
    notes: list[str] = []
    if suffix == ".parquet":
        rows = _read_parquet(path, label)
    elif suffix in (".xlsx", ".xls", ".ods", ".numbers"):
        raise DatasetError(f"{path}: a spreadsheet is not read; save it as 'CSV UTF-8'")
    elif suffix == ".xml":
        raise DatasetError(f"{path}: XML is not read; export as 'ImageNet', one folder per class")
    else:
        text, notes = _read_text(path)
        if suffix == ".json":
            cells = read_json(path, text)
            rows = [TableRow(f"row {place}", one) for place, one in enumerate(cells, start=1)]
        else:
            rows = _read_csv(path, text)
            if any(not name for row in rows[:1] for name in row.cells):
                rows = [row._replace(cells=_named_cells(row.cells)) for row in rows]
                notes.append(f"{path.name}: columns without a name are left out")
    if not rows:
        raise DatasetError(f"dataset.path: {path} has no row")
    if label != "label":
        rows = _relabelled(rows, label, path)
    names = list(rows[0].cells)
    cells = as_table(names, [row.cells for row in rows])
    _require_columns(list(cells[0]), path)
    for row, one in zip(rows, cells, strict=True):
        if one["label"] == SEVERAL:
            raise DatasetError(
                f"{path}, {row.place}: expected one class for each image, got none or several; "
                "only exports with one class for each image can be read"
            )
    return TableContent(
        [row._replace(cells=one) for row, one in zip(rows, cells, strict=True)], notes
    )


def _relabelled(rows: Sequence[TableRow], label: str, path: Path) -> list[TableRow]:
    """Return the rows with the labels of another column."""
    if label not in rows[0].cells:
        raise DatasetError(f"{path}: no column {label!r}; columns: {', '.join(rows[0].cells)}")
    return [
        row._replace(
            cells={n: v for n, v in row.cells.items() if n not in ("label", label)}
            | {"label": row.cells[label]}
        )
        for row in rows
    ]


def read_any_csv(path: Path) -> TableContent:
    """Read a CSV or TSV of any columns, as Windows and spreadsheets write them.

    Raises:
        DatasetError: It cannot be read, has no row, or has a row of another length.
    """
    text, notes = _read_text(path)
    rows = _read_csv(path, text) if text.strip() else []
    if not rows:
        raise DatasetError(f"{path} has no row")
    return TableContent(rows, notes)


def _read_text(path: Path) -> tuple[str, list[str]]:
    """Return the text of a file in UTF-8, UTF-16 with its mark, or cp949 of Korean letters."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: not readable: {error.strerror}") from error
    try:
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return content.decode("utf-16"), []
        if b"\0" in content:
            raise DatasetError(f"{path}: it holds NUL bytes; save it as 'CSV UTF-8'")
        return content.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        text = _decode_korean(content)
        if text is None:
            raise DatasetError(f"{path}: not UTF-8; save it as 'CSV UTF-8'") from error
        return text, [f"{path.name} is not UTF-8 and was read as cp949, the code of Korean Windows"]


def _decode_korean(content: bytes) -> str | None:
    """Return a text in cp949; None if it has other letters, as one in another code would."""
    try:
        text = content.decode("cp949")
    except UnicodeDecodeError:
        return None
    return text if _KOREAN.fullmatch(text) else None


def _read_csv(path: Path, text: str) -> list[TableRow]:
    lines = [line for line in text.splitlines() if line.strip()]
    head = lines[0].lower() if lines else ""
    declared = head[4:5] if head.startswith("sep=") else ""
    separator = declared or max(_SEPARATORS, key=head.count)
    try:
        records = list(_records(text, separator))[bool(declared) :]
    except csv.Error as error:
        raise DatasetError(f"{path}: not a readable CSV: {error}") from error
    names = [name.strip() for name in records[0][1]] if records else []
    while names and not names[-1]:
        names.pop()
    if not names:
        _require_columns(names, path)
    names = _usual_names(names)
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise DatasetError(f"{path}: the column {twice[0]!r} occurs more than once")
    rows = []
    for line, record in records[1:]:
        width = max((place + 1 for place, cell in enumerate(record) if cell.strip()), default=0)
        if width > len(names) or len(record) < len(names):
            raise DatasetError(
                f"{path}, line {line}: {len(record)} values for {len(names)} columns; quote a "
                f"value that holds a {'tab' if separator == chr(9) else separator}"
            )
        rows.append(TableRow(f"line {line}", dict(zip(names, record, strict=False))))
    return rows


def _named_cells(cells: Cells) -> Cells:
    return {name: value for name, value in cells.items() if name}


def _records(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each record that has a value, with the line of the file on which it begins."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator)
    line = 1
    for record in reader:
        if any(cell.strip() for cell in record):
            yield line, record
        line = reader.line_num + 1


def _usual_names(names: Sequence[str]) -> list[str]:
    """Return column names with `Path` and `LABEL` in lower case, unless that name is taken."""
    return [
        name.lower() if name.lower() in _KNOWN and name.lower() not in names else name
        for name in names
    ]


def _read_parquet(path: Path, label: str) -> list[TableRow]:
    try:
        table = pq.read_table(path, partitioning=None)
        _require_columns(["label" if name == label else name for name in table.column_names], path)
        dropped = [name for name in ("boxes",) if name in table.column_names]
        kept = table.drop_columns(dropped)
        text = pa.table({name: kept[name].cast(pa.string()) for name in kept.column_names})
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:200]
        raise DatasetError(f"{path}: not a readable Parquet table: {reason}") from error
    return [
        TableRow(f"row {place}", {name: value or "" for name, value in row.items()})
        for place, row in enumerate(text.to_pylist(), start=1)
    ]


def _require_columns(names: Sequence[str], path: Path) -> None:
    missing = [name for name in ("path", "label") if name not in names]
    if missing:
        raise DatasetError(
            f"{path}: expected the columns path, label and optionally group and split; missing "
            f"{' and '.join(missing)} among {', '.join(names) or 'none'}"
        )
