"""Writing rows as CSV, JSON Lines or Parquet: the file is whole or not there."""

import contextlib
import csv
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sihwa.errors import ConfigError
from sihwa.scoring.rows import Row
from sihwa.storage import replacing

__all__ = ["FORMATS", "open_writer"]

FORMATS = (".csv", ".jsonl", ".parquet")
WriteRows = Callable[[Sequence[Row]], None]


@contextlib.contextmanager
def open_writer(path: Path, schema: pa.Schema) -> Iterator[WriteRows]:
    """Open a table for writing; it appears under its name when the block ends well.

    Raises:
        ConfigError: The suffix is none of `FORMATS`.
        StorageError: The disk refuses.
    """
    opener = {".csv": _open_csv, ".jsonl": _open_jsonl, ".parquet": _open_parquet}.get(
        path.suffix.lower()
    )
    if opener is None:
        raise ConfigError(f"--out must end in one of {', '.join(FORMATS)}; got {str(path)!r}")
    with replacing(path) as temporary, opener(temporary, schema) as write:
        yield write


@contextlib.contextmanager
def _open_csv(path: Path, schema: pa.Schema) -> Iterator[WriteRows]:
    # The byte-order mark makes spreadsheet programs read Korean names as UTF-8.
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, schema.names)
        writer.writeheader()
        yield writer.writerows


@contextlib.contextmanager
def _open_jsonl(path: Path, schema: pa.Schema) -> Iterator[WriteRows]:  # noqa: ARG001
    with path.open("w", encoding="utf-8") as file:
        yield lambda rows: file.writelines(
            json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows
        )


@contextlib.contextmanager
def _open_parquet(path: Path, schema: pa.Schema) -> Iterator[WriteRows]:
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        yield lambda rows: writer.write_table(pa.Table.from_pylist(list(rows), schema))
