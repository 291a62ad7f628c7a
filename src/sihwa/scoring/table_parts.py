"""A table as a folder of Parquet parts: each written whole under another name, then renamed.

Parts are numbered; read in the order of their names, their rows have the order in which the files
were listed.
"""

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sihwa.errors import StorageError
from sihwa.scoring.rows import KEY_COLUMNS, Row, check_row
from sihwa.storage import replacing

_ROWS = 4096
_SECONDS = 10.0
"""A part is written when it has so many rows or is so old: no more is lost by a kill."""

_PART = re.compile(r"part-[0-9]{8}\.parquet")


def _part_path(folder: Path, number: int) -> Path:
    """Return where part `number` of a table lies, from 0."""
    return folder / f"part-{number:08d}.parquet"


def _number_of(part: Path) -> int:
    return int(part.stem.removeprefix("part-"))


def _write_part(folder: Path, number: int, table: pa.Table) -> None:
    """Write one part, whole or not at all.

    Raises:
        StorageError: The disk refuses.
    """
    with replacing(_part_path(folder, number)) as temporary:
        pq.write_table(table, temporary, compression="zstd")


class PartFolder:
    """See `sihwa.scoring.table.Table`."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self._folder = folder
        self._schema = schema
        self._waiting: list[pa.Table] = []
        self._since = time.monotonic()
        self._next: int | None = None

    def exists(self) -> bool:
        """See `Table`."""
        return self._folder.exists()

    def written(self) -> Iterator[dict[str, Any]]:
        """See `Table`."""
        for part in self._parts():
            yield from self._rows(part)

    def keep(self, keep: Callable[[dict[str, Any]], bool]) -> None:
        """See `Table`."""
        for left in self._folder.glob(".part-*.tmp"):
            with contextlib.suppress(OSError):
                left.unlink()
        changes: list[tuple[Path, pa.Array]] = []
        for part in self._parts():
            kept = [keep(row) for row in self._rows(part)]
            if not all(kept):
                self._read(part)  # all of it, before any part is changed
                changes.append((part, pa.array(kept)))
        for part, mask in changes:
            table = self._read(part).filter(mask)
            if table.num_rows:
                _write_part(self._folder, _number_of(part), table)
            else:
                part.unlink()

    def append(self, rows: Sequence[Row]) -> None:
        """See `Table`."""
        if rows:
            self._since = self._since if self._waiting else time.monotonic()
            self._waiting.append(pa.Table.from_pylist(list(rows), self._schema))
        count = sum(table.num_rows for table in self._waiting)
        if count >= _ROWS or time.monotonic() - self._since >= _SECONDS:
            self.flush()

    def flush(self) -> None:
        """See `Table`."""
        if self._waiting:
            _write_part(self._folder, self._number(), pa.concat_tables(self._waiting))
            self._next = self._number() + 1
            self._waiting = []

    def close(self) -> None:
        """See `Table`."""
        self.flush()
        if not self._number():  # a table of no rows is a table, too
            _write_part(self._folder, 0, self._schema.empty_table())

    def _number(self) -> int:
        """Return the number of the next part: looked up late, when no one else may add any."""
        if self._next is None:
            self._next = max(map(_number_of, self._parts()), default=-1) + 1
        return self._next

    def _parts(self) -> list[Path]:
        parts = sorted(self._folder.glob("part-[0-9]*.parquet"))
        for part in parts:
            if not _PART.fullmatch(part.name):
                raise StorageError(
                    f"{part}: expected parts named like part-00000000.parquet only; is this a "
                    "copy of one? Move it out of the folder and resume"
                )
        return parts

    def _rows(self, part: Path) -> list[dict[str, Any]]:
        try:
            rows: list[dict[str, Any]] = self._read(part, KEY_COLUMNS).to_pylist()
            for row in rows:
                check_row(row)
        except ValueError as error:
            raise StorageError(
                f"{part}: its rows are not as they were written; it was changed. Name another --out"
            ) from error
        return rows

    def _read(self, part: Path, columns: Sequence[str] | None = None) -> pa.Table:
        try:
            with pq.ParquetFile(part) as file:
                if not file.schema_arrow.equals(self._schema):
                    raise StorageError(
                        f"{part}: its columns are not those that were written; it was changed. "
                        "Name another --out"
                    )
                return file.read(columns and list(columns))
        except (OSError, pa.ArrowException) as error:
            raise StorageError(
                f"{part}: not a whole part: {' '.join(str(error).split())[:160]}. Remove it and "
                "resume: its images are scored again"
            ) from error
