"""Which files have a row: a map on disk, so that memory stays flat at any number of files."""

import os
import sqlite3
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Literal, Self

from sihwa.storage.database import explaining, open_database

_CACHE_KIB = 4096


class Ledger:
    """The files that are in the table already or were listed, each once.

    It is built anew from the table at each start, so nothing else can disagree with the table. It
    lives in a private file that SQLite removes. Files come almost sorted, which its tree likes.

    Raises:
        StorageError: There is no room for temporary files.
    """

    def __enter__(self) -> Self:
        with self._explained():
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

    def add_written(self, file: str) -> None:
        """Note that a file has its row, or rows."""
        self._execute("INSERT OR IGNORE INTO file (name, listed) VALUES (?, 0)", os.fsencode(file))

    def list(self, file: str) -> Literal["new", "written", "twice"]:
        """Note that a file is listed; say whether it is new, has a row, or was listed before."""
        name = os.fsencode(file)
        known = self._execute("SELECT listed FROM file WHERE name = ?", name).fetchone()
        if known is None:
            self._execute("INSERT INTO file (name, listed) VALUES (?, 1)", name)
            return "new"
        if known[0]:
            return "twice"
        self._execute("UPDATE file SET listed = 1 WHERE name = ?", name)
        return "written"

    def remember(self, file: str, size: int | None, modified_ns: int | None) -> None:
        """Note what a file was like when it got its row."""
        line = "UPDATE file SET size = ?, modified_ns = ? WHERE name = ?"
        self._execute(line, size, modified_ns, os.fsencode(file))

    def mark_changed(self, file: str, size: int | None, modified_ns: int | None) -> None:
        """Note what a file is like now, if it was another when it got its row."""
        line = (
            "UPDATE file SET changed = 1 WHERE name = ? AND (size IS NOT ? OR modified_ns IS NOT ?)"
        )
        self._execute(line, os.fsencode(file), size, modified_ns)

    def count_changed(self) -> int:
        """Count the files that are others than when they got their rows."""
        (count,) = self._execute("SELECT count(*) FROM file WHERE changed = 1").fetchone()
        return int(count)

    def has(self, file: str) -> bool:
        """Say whether a file has a row or was listed."""
        found = self._execute("SELECT 1 FROM file WHERE name = ?", os.fsencode(file))
        return found.fetchone() is not None

    def is_empty(self) -> bool:
        """Say whether no file has a row."""
        return self._execute("SELECT 1 FROM file LIMIT 1").fetchone() is None

    def mark_listed(self, file: str) -> None:
        """Note that a file is listed, if it has a row; one that has none is not kept."""
        self._execute("UPDATE file SET listed = 1 WHERE name = ?", os.fsencode(file))

    def is_listed(self, file: str) -> bool:
        """Say whether a file was listed."""
        line = "SELECT 1 FROM file WHERE name = ? AND listed = 1"
        return self._execute(line, os.fsencode(file)).fetchone() is not None

    def count_listed(self) -> int:
        """Count the files that were listed."""
        (count,) = self._execute("SELECT count(*) FROM file WHERE listed = 1").fetchone()
        return int(count)

    def count_gone(self) -> int:
        """Count the files that have a row and were not listed."""
        (count,) = self._execute("SELECT count(*) FROM file WHERE listed = 0").fetchone()
        return int(count)

    def _execute(self, line: str, *values: object) -> sqlite3.Cursor:
        with self._explained():
            return self._database.execute(line, values)

    def _explained(self) -> AbstractContextManager[None]:
        return explaining(
            "no room for temporary files", "Free some, or name another place with TMPDIR=FOLDER"
        )
