"""Which files have a row: a map on disk, so memory stays flat at any number of files."""

import os
import sqlite3
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Literal, Self

from sihwa.storage import explaining, open_database

_CACHE_KIB = 4096


class Ledger:
    """The files that have a row or were listed, each once.

    It is built from the shards at each start, so it cannot disagree with them. SQLite keeps it in
    a private temporary file.

    Raises:
        StorageError: There is no room for temporary files.
    """

    def __enter__(self) -> Self:
        with _explained():
            self._database = open_database(
                None,
                f"PRAGMA cache_size = -{_CACHE_KIB}",
                "PRAGMA journal_mode = OFF",
                "PRAGMA synchronous = OFF",
                "CREATE TABLE file (name BLOB PRIMARY KEY, listed INTEGER, size INTEGER, "
                "modified_ns INTEGER, changed INTEGER) WITHOUT ROWID",
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._database.close()

    def add_scored(self, file: str) -> None:
        """Note that a file has its row, or rows."""
        self._execute("INSERT OR IGNORE INTO file (name, listed) VALUES (?, 0)", os.fsencode(file))

    def list(self, file: str) -> Literal["new", "scored", "listed twice"]:
        """Note that a file is listed; return what was known of it before."""
        name = os.fsencode(file)
        known = self._execute("SELECT listed FROM file WHERE name = ?", name).fetchone()
        if known is None:
            self._execute("INSERT INTO file (name, listed) VALUES (?, 1)", name)
            return "new"
        if known[0]:
            return "listed twice"
        self._execute("UPDATE file SET listed = 1 WHERE name = ?", name)
        return "scored"

    def has(self, file: str) -> bool:
        """Return whether a file has a row or was listed."""
        found = self._execute("SELECT 1 FROM file WHERE name = ?", os.fsencode(file))
        return found.fetchone() is not None

    def remember(self, file: str, size: int | None, modified_ns: int | None) -> None:
        """Note size and time of a file when it got its row."""
        line = "UPDATE file SET size = ?, modified_ns = ? WHERE name = ?"
        self._execute(line, size, modified_ns, os.fsencode(file))

    def mark_changed(self, file: str, size: int | None, modified_ns: int | None) -> None:
        """Mark a file whose size or time is not the one that was remembered."""
        line = (
            "UPDATE file SET changed = 1 WHERE name = ? AND (size IS NOT ? OR modified_ns IS NOT ?)"
        )
        self._execute(line, os.fsencode(file), size, modified_ns)

    def count_changed(self) -> int:
        """Count the files that were marked as changed."""
        return self._count("changed = 1")

    def count_gone(self) -> int:
        """Count the files that have a row and were not listed."""
        return self._count("listed = 0")

    def _count(self, condition: str) -> int:
        (count,) = self._execute(f"SELECT count(*) FROM file WHERE {condition}").fetchone()
        return int(count)

    def _execute(self, line: str, *values: object) -> sqlite3.Cursor:
        with _explained():
            return self._database.execute(line, values)


def _explained() -> AbstractContextManager[None]:
    return explaining(
        "no room for temporary files", "Free some, or name another folder with TMPDIR=FOLDER"
    )
