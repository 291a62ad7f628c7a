"""Read tables of `sihwa score`, whatever their format, a block of rows at a time."""

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sihwa.decision import ACCEPT, REJECT, REVIEW
from sihwa.errors import DatasetError

_ROWS = 4096
_OUTCOMES = (ACCEPT, REJECT, REVIEW)
_MALFORMED = (ValueError, TypeError, RecursionError)


def read_score_rows(path: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield some columns of each row; an empty cell is None, numbers of a CSV are floats.

    Args:
        path: A folder of shards, a .parquet, a .csv or a .jsonl, as `--out` of `sihwa score`.
        columns: Columns of the row contract, `decision` among them.

    Raises:
        DatasetError: There is no such table, it lacks a column, or a row is damaged.
    """
    number = 0
    try:
        for row in _rows(path, columns):
            number += 1
            _check(row)
            yield row
    except (OSError, csv.Error, pa.ArrowException, LookupError, *_MALFORMED) as error:
        place = f", row {number + 1}" if number else ""
        raise DatasetError(
            f"{path}{place}: expected a table that sihwa score wrote, got {_reason(error)}; name "
            "what its --out named"
        ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"no column {error}"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:200]


def _rows(path: Path, columns: Sequence[str]) -> Iterable[dict[str, Any]]:
    if path.is_dir():
        shards = sorted((path / "rows" if (path / "rows").is_dir() else path).glob("*.parquet"))
        if not shards:
            raise ValueError("a folder without shards")
        return (row for shard in shards for row in _parquet(shard, columns))
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _parquet(path, columns)
    if suffix == ".csv":
        return _csv(path, columns)
    if suffix == ".jsonl":
        return _json_lines(path, columns)
    raise ValueError("neither a folder of shards nor a .parquet, .csv or .jsonl")


def _parquet(path: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    with pq.ParquetFile(path) as file:
        for name in columns:
            if name not in file.schema_arrow.names:
                raise KeyError(name)
        for batch in file.iter_batches(_ROWS, columns=list(columns)):
            yield from batch.to_pylist()


def _csv(path: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            yield _typed({name: row[name] for name in columns})


def _json_lines(path: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            yield {name: row[name] for name in columns}


def _check(row: Mapping[str, Any]) -> None:
    """Refuse a cell that no row of the contract has."""
    if row["decision"] not in _OUTCOMES:
        raise ValueError(f"decision {str(row['decision'])[:40]!r}")
    for name in ("path", "inspector", "thresholds", "time"):
        if not isinstance(row.get(name, ""), str):
            raise ValueError(f"no text as {name}")
    unknown = row.get("unknown")
    if unknown is not None and not (isinstance(unknown, (int, float)) and math.isfinite(unknown)):
        raise ValueError(f"no finite number as unknown: {str(unknown)[:40]}")


def _typed(row: Mapping[str, str | None]) -> dict[str, Any]:
    cells: dict[str, Any] = {name: value or None for name, value in row.items()}
    if cells.get("unknown"):
        cells["unknown"] = float(cells["unknown"])
    return cells
