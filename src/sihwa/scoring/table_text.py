"""A table as one CSV or JSON Lines file, flushed with every batch of rows.

A kill, a power cut or a full disk can leave half a row at its end, never elsewhere: opening the
table cuts that off.
"""

import csv
import io
import itertools
import json
import os
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import pyarrow as pa

from sihwa.errors import StorageError
from sihwa.scoring.rows import KEY_COLUMNS, Row, check_row
from sihwa.storage import replacing, writing

_MARK = b"\xef\xbb\xbf"
"""The byte-order mark makes spreadsheet programs read Korean names as UTF-8."""
_SYNC_SECONDS = 5.0
_LONGEST_ROW = 2**20


class _Record(NamedTuple):
    """One whole row of the file: where it lies, and what it says in `KEY_COLUMNS`."""

    start: int
    end: int
    row: dict[str, Any]


class TextTable:
    """See `sihwa.scoring.table.Table`."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path = path
        self._names = schema.names
        self._integers = {field.name for field in schema if pa.types.is_integer(field.type)}
        self._is_csv = path.suffix.lower() == ".csv"
        self._head = _MARK + self._csv_lines([self._names]) if self._is_csv else b""
        self._file: io.FileIO | None = None
        self._synced = time.monotonic()

    def exists(self) -> bool:
        """See `Table`."""
        return self._path.exists()

    def written(self) -> Iterator[dict[str, Any]]:
        """See `Table`."""
        return (record.row for record in self._records())

    def keep(self, keep: Callable[[dict[str, Any]], bool]) -> None:
        """See `Table`."""
        if not self.exists():
            return
        dropped = array("q")
        end = first_page = 0
        last: dict[str, Any] = {}
        for record in self._records():
            last, end = record.row, record.end
            first_page = record.start if last["page"] in (None, 1) else first_page
            if not keep(record.row):
                dropped.append(record.start)
        if last and last["page"] != last["pages"]:
            end = first_page  # the pages of one file are written together or not at all
        with writing(self._path), self._path.open("r+b") as file:
            file.truncate(end)
        if dropped:
            self._rewrite(set(dropped))

    def append(self, rows: Sequence[Row]) -> None:
        """See `Table`."""
        with writing(self._path):
            if self._file is None:
                self._file = self._open()
            _write(self._file, self._encode(rows))
        if time.monotonic() - self._synced >= _SYNC_SECONDS:
            self.flush()

    def flush(self) -> None:
        """See `Table`."""
        with writing(self._path):
            if self._file is not None:
                os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def close(self) -> None:
        """See `Table`."""
        with writing(self._path):
            if self._file is None:  # a table of no rows is a table, too
                self._file = self._open()
            os.fsync(self._file.fileno())
            self._file.close()
        self._file = None

    def _open(self) -> io.FileIO:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = io.FileIO(self._path, "ab")
        if not file.tell():
            _write(file, self._head)
        return file

    def _rewrite(self, dropped: set[int]) -> None:
        with replacing(self._path) as temporary, temporary.open("wb") as copy:
            copy.write(self._head)
            with self._path.open("rb") as file:
                for record in self._records():
                    if record.start not in dropped:
                        file.seek(record.start)
                        copy.write(file.read(record.end - record.start))

    def _encode(self, rows: Sequence[Row]) -> bytes:
        if self._is_csv:
            return self._csv_lines([list(row.values()) for row in rows])
        return "".join(
            json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows
        ).encode()

    def _csv_lines(self, rows: Sequence[Sequence[object]]) -> bytes:
        text = io.StringIO(newline="")
        csv.writer(text).writerows(rows)
        return text.getvalue().encode()

    def _records(self) -> Iterator[_Record]:
        """Read the whole rows; what is left at the end of the file is half a row.

        Raises:
            StorageError: A whole row is none of this table: the file was changed by someone.
        """
        try:
            with self._path.open("rb") as file:
                head = file.read(len(self._head))
                begun = head if self._head.startswith(head) else head.rstrip(b"\0")
                if not self._head.startswith(begun) or (begun != head and not _only_zeros(file)):
                    raise StorageError(
                        f"{self._path}: its first line is not the one that was written; it was "
                        "changed. Name another --out"
                    )
                yield from self._read_records(file)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError(f"cannot read {self._path}: {error.strerror}") from error

    def _read_records(self, file: IO[bytes]) -> Iterator[_Record]:
        end = len(self._head)
        for number in itertools.count(1):
            start, (line, quotes) = end, self._read_row(file)
            is_whole = line.endswith(b"\n") and quotes % 2 == 0
            if not is_whole and (
                len(line) < _LONGEST_ROW or (line.endswith(b"\0") and _only_zeros(file))
            ):
                if self._holds_end_of_row(line):
                    raise self._changed(number)
                return
            end += len(line)
            try:
                yield _Record(start, end, self._parse(line))
            except (ValueError, KeyError, TypeError, RecursionError, csv.Error) as error:
                raise self._changed(number) from error

    def _read_row(self, file: IO[bytes]) -> tuple[bytes, int]:
        """Read to the end of a row, or of the file; return it with its number of quotes."""
        line = file.readline(_LONGEST_ROW)
        quotes = line.count(b'"') if self._is_csv else 0
        # a line break inside a quoted name is part of the row
        while quotes % 2 and len(line) < _LONGEST_ROW and (more := file.readline(_LONGEST_ROW)):
            line += more
            quotes += more.count(b'"')
        return line, quotes

    def _holds_end_of_row(self, half: bytes) -> bool:
        """Say whether a row ends inside of what seems half a row: a quote was put before it.

        Half a row may hold a line break of a name, but not so many commas before it.
        """
        lines = half.split(b"\r\n")[:-1] if self._is_csv else []
        return any(line.count(b",") >= len(self._names) - 1 for line in lines)

    def _changed(self, number: int) -> StorageError:
        return StorageError(
            f"{self._path}: row {number} is not as it was written; the file was changed. "
            "Name another --out"
        )

    def _parse(self, line: bytes) -> dict[str, Any]:
        if self._is_csv:
            [values] = csv.reader(io.StringIO(line.decode(), newline=""), strict=True)
            row: dict[str, Any] = dict(zip(self._names, values, strict=True))
        else:
            row = json.loads(line)
            if list(row) != self._names:
                raise ValueError("other columns")
        known = {name: self._value(name, row[name]) for name in KEY_COLUMNS}
        check_row(known)
        return known

    def _value(self, name: str, value: object) -> object:
        if value is None or value == "":
            return None
        if name in self._integers:
            return int(str(value))
        if not isinstance(value, str):
            raise TypeError("expected text")
        value.encode()  # JSON can spell half a character, which is none
        return value


def _only_zeros(file: IO[bytes]) -> bool:
    """Say whether nothing but zeros is left, as a power cut leaves where a file grew."""
    return not any(piece.strip(b"\0") for piece in iter(lambda: file.read(_LONGEST_ROW), b""))


def _write(file: io.FileIO, content: bytes) -> None:
    """Write all of it, or none: half a row would stay where a disk is full."""
    begin = file.tell()
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[file.write(rest) or 0 :]
    except BaseException:
        file.truncate(begin)
        raise
