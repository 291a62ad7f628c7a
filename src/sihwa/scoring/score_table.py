"""Read a score table that was written before, in any of its forms, a batch of rows at a time."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sihwa.decision import ACCEPT, REJECT, REVIEW
from sihwa.errors import DatasetError
from sihwa.scoring.rows import row_schema
from sihwa.terminal.names import printable

_BATCH = 4096
_OUTCOMES = (ACCEPT, REJECT, REVIEW)
_MALFORMED = (OSError, ValueError, TypeError, RecursionError, pa.ArrowException)
_PREFIX = "probability_"
_LONGEST_LINE = 2**24


@dataclass(frozen=True)
class ScoreRows:
    """The rows of a score table; columns that others added to a file come after its own."""

    path: Path
    classes: tuple[str, ...]
    """Of its columns `probability_CLASS`, in order."""
    schema: pa.Schema

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Read the rows in order, some thousand at a time; all columns if None.

        Raises:
            DatasetError: The table is damaged, or a value has not the type of its column.
        """
        try:
            wanted = self.schema
            if columns is not None:
                wanted = pa.schema([self.schema.field(name) for name in columns])
            for batch in _READERS[_kind(self.path)](self.path, wanted):
                yield pa.Table.from_batches([batch]).cast(wanted)
        except _MALFORMED as error:
            raise _not_scores(self.path, error) from error

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Read the rows one by one; all columns if None.

        Raises:
            DatasetError: As `tables`; or a decision is none, or `unknown` is not finite.
        """
        number = 0
        for table in self.tables(columns):
            for row in table.to_pylist():
                number += 1
                if fault := _fault(row):
                    raise DatasetError(f"{self.path}, row {number}: {fault}")
                yield row


def open_scores(path: Path) -> ScoreRows:
    """Open what `sihwa score` wrote: a folder, or a .parquet, .csv or .jsonl file.

    Raises:
        DatasetError: It is missing, or is no score table.
    """
    try:
        names = _names(path)
    except _MALFORMED as error:
        raise _not_scores(path, error) from error
    classes = tuple(name.removeprefix(_PREFIX) for name in names if name.startswith(_PREFIX))
    own = row_schema(classes)
    if missing := [name for name in own.names if name not in names]:
        raise DatasetError(
            f"{path}: not a table of `sihwa score`: it lacks the columns "
            f"{printable(', '.join(missing[:5]))}"
        )
    added = [pa.field(name, pa.string()) for name in names if name not in own.names]
    return ScoreRows(path, classes, pa.schema([*own, *added]))


def _fault(row: Mapping[str, Any]) -> str:
    """Return what no row of the contract has, empty if nothing."""
    if row.get("decision", ACCEPT) not in _OUTCOMES:
        return f"expected accept, reject or review, got {str(row['decision'])[:40]!r}"
    unknown = row.get("unknown")
    if unknown is not None and not math.isfinite(unknown):
        return f"expected a finite number as unknown, got {unknown}"
    return ""


def _kind(path: Path) -> str:
    return "folder" if path.is_dir() else path.suffix.lower()


def _shards(path: Path) -> list[Path]:
    folder = path / "rows" if (path / "rows").is_dir() else path
    shards = sorted(folder.glob("shard-*.parquet"))
    if not shards:
        raise ValueError("the folder holds no rows/shard-*.parquet")
    return shards


def _names(path: Path) -> list[str]:
    kind = _kind(path)
    if kind not in _READERS:
        raise ValueError("expected a folder, or a .parquet, .csv or .jsonl file")
    if kind in ("folder", ".parquet"):
        first = _shards(path)[0] if kind == "folder" else path
        return list(pq.read_schema(first).names)
    if kind == ".csv":
        with pa.csv.open_csv(path) as reader:
            return list(reader.schema.names)
    with path.open("rb") as file:
        first_row = json.loads(file.readline(_LONGEST_LINE))
    if not isinstance(first_row, dict):
        raise ValueError("its first line is no JSON object")
    return list(first_row)


def _read_folder(path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for shard in _shards(path):
        yield from _read_parquet(shard, schema)


def _read_parquet(path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_BATCH, columns=schema.names):
            yield batch.select(schema.names)


def _read_csv(path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:

    types = {field.name: field.type for field in schema}
    convert = pa.csv.ConvertOptions(
        column_types=types, include_columns=schema.names, null_values=[""], strings_can_be_null=True
    )
    parse = pa.csv.ParseOptions(newlines_in_values=True)
    with pa.csv.open_csv(path, parse_options=parse, convert_options=convert) as reader:
        yield from reader


def _read_json_lines(path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    with path.open("rb") as file:
        lines = iter(lambda: file.readline(_LONGEST_LINE), b"")
        while rows := [_as_row(line) for line in islice(lines, _BATCH)]:
            yield pa.RecordBatch.from_pylist(rows, schema)


def _as_row(line: bytes) -> Mapping[str, Any]:
    row = json.loads(line)
    if not isinstance(row, dict):
        raise TypeError("a line is no JSON object")
    return row


_READERS = {
    "folder": _read_folder,
    ".parquet": _read_parquet,
    ".csv": _read_csv,
    ".jsonl": _read_json_lines,
}


def _not_scores(path: Path, error: Exception) -> DatasetError:
    if isinstance(error, FileNotFoundError):
        return DatasetError(f"{path}: no such table")
    reason = printable(" ".join(str(error).split()))[:200]
    return DatasetError(f"{path}: not a readable score table: {reason}")
