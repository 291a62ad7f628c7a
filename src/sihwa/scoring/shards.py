"""The rows of a table: a folder of Parquet shards, each of which is whole or absent.

This is the one record of what is scored. A shard is written under a temporary name, made durable
and renamed, so a kill, a full disk or a power cut loses at most the rows that waited for the next.
Where the disk refuses, `sihwa.storage.replacing` removes the temporary file and raises
`StorageError`; nothing here or above catches it, so the run ends in one line and can be resumed.
"""

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq

from sihwa.errors import StorageError
from sihwa.scoring.rows import KEY_COLUMNS, Row
from sihwa.storage import replacing

_ROWS = 4096
_SECONDS = 5.0
"""A shard is written when this many rows wait, or when the first has waited this long."""
_NAME = re.compile(r"shard-([0-9]{8})\.parquet")


class ShardFolder:
    """Rows on disk, in the order in which they were scored; the first one makes the folder."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self._folder = folder
        self._schema = schema
        self._waiting: list[Row] = []
        self._since = 0.0
        self._next: int | None = None

    def rows(self) -> Iterator[dict[str, Any]]:
        """Read columns `KEY_COLUMNS` of the rows on disk, one shard in memory at a time."""
        for path in self._paths():
            yield from self._read(path, KEY_COLUMNS).to_pylist()

    def tables(self) -> Iterator[pa.Table]:
        """Read the shards, one at a time."""
        return map(self._read, self._paths())

    def remove(self, is_stale: Callable[[Mapping[str, Any]], bool]) -> bool:
        """Remove rows; a shard that loses some is replaced in one step.

        `is_stale` is asked once for each row. Returns whether a shard lost rows.
        """
        self._waiting = [row for row in self._waiting if not is_stale(row)]
        has_lost = False
        for path in self._paths():
            kept = [not is_stale(row) for row in self._read(path, KEY_COLUMNS).to_pylist()]
            if not any(kept):
                path.unlink()
            elif not all(kept):
                self._write(path, self._read(path).filter(pa.array(kept)))
            has_lost = has_lost or not all(kept)
        return has_lost

    def remove_unfinished(self) -> None:
        """Remove the temporary files of a process that was killed."""
        for left in self._folder.glob(".shard-*.tmp"):
            with contextlib.suppress(OSError):
                left.unlink()

    def append(self, rows: Sequence[Row]) -> pa.Table | None:
        """Add rows; return the shard that became due, if any."""
        if rows:
            self._since = self._since if self._waiting else time.monotonic()
            self._waiting.extend(rows)
        is_due = len(self._waiting) >= _ROWS or time.monotonic() - self._since >= _SECONDS
        return self._flush() if is_due else None

    def _flush(self) -> pa.Table | None:
        if not self._waiting:
            return None
        shard, self._waiting = _as_table(self._waiting, self._schema), []
        self._write_next(shard)
        return shard

    def close(self) -> None:
        """Write the rows that wait; a table without rows gets one empty shard."""
        if self._flush() is None and not self._paths():
            self._write_next(self._schema.empty_table())

    def _write_next(self, shard: pa.Table) -> None:
        if self._next is None:
            numbers = [int(path.stem.removeprefix("shard-")) for path in self._paths()]
            self._next = max(numbers, default=-1) + 1
        self._write(self._folder / f"shard-{self._next:08d}.parquet", shard)
        self._next += 1

    def _write(self, path: Path, shard: pa.Table) -> None:
        with replacing(path) as temporary:
            pq.write_table(shard, temporary, compression="zstd")

    def _paths(self) -> list[Path]:
        paths = sorted(self._folder.glob("*.parquet"))
        for path in paths:
            if not _NAME.fullmatch(path.name):
                raise StorageError(
                    f"{path}: expected only files named like shard-00000000.parquet, which this "
                    "program writes. Move it out of the folder and resume"
                )
        return paths

    def _read(self, path: Path, columns: Sequence[str] | None = None) -> pa.Table:
        try:
            with pq.ParquetFile(path) as file:
                if not file.schema_arrow.equals(self._schema):
                    raise pa.ArrowInvalid("its columns differ from those of the row contract")
                return file.read(columns and list(columns))
        except (OSError, pa.ArrowException) as error:
            raise StorageError(
                f"{path}: not a shard as it was written: {' '.join(str(error).split())[:160]}. "
                "Remove it and resume: its images are scored again"
            ) from error


def _as_table(rows: Sequence[Row], schema: pa.Schema) -> pa.Table:
    """Return rows as a table.

    `pa.Table.from_pylist` imports pandas where it is installed, and a cast imports
    `pyarrow.compute`; together they take as long as everything else up to the first decision.
    """
    lines = "\n".join(json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows).encode()
    read = pa.json.ReadOptions(use_threads=False, block_size=len(lines) + 1)
    parse = pa.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
    return pa.Table.from_arrays(
        pa.json.read_json(pa.BufferReader(lines), read, parse).columns, schema=schema
    )
