"""What a table holds already: which files have a row, and whether it is still true."""

import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from sihwa.errors import UnreadableImage
from sihwa.images import identify_file, read_bytes, split_member
from sihwa.scoring.rows import file_of_row
from sihwa.scoring.shards import ShardFolder
from sihwa.storage import explaining, open_database, sha256_of_bytes

_CACHE_KIB = 4096
_NO_ROOM = "no room for temporary files", "Free some, or name another folder with TMPDIR=FOLDER"


class Ledger:
    """The files that have a row or were listed, each once; memory stays flat at any number.

    It is built from the shards at each start, so it cannot disagree with them. SQLite keeps it in
    a private temporary file.
    """

    def __init__(self) -> None:
        with explaining(*_NO_ROOM):
            self._database = open_database(
                None,
                f"PRAGMA cache_size = -{_CACHE_KIB}",
                "PRAGMA journal_mode = OFF",
                "PRAGMA synchronous = OFF",
                "CREATE TABLE file (name BLOB PRIMARY KEY, listed INTEGER, size INTEGER, "
                "modified_ns INTEGER, changed INTEGER, failed INTEGER) WITHOUT ROWID",
            )

    def close(self) -> None:
        """Delete the temporary file."""
        self._database.close()

    def add(self, row: Mapping[str, Any]) -> None:
        """Note that a file has a row, its size and time then, and whether it has an error."""
        self._execute(
            "INSERT INTO file (name, listed, size, modified_ns, failed) VALUES (?1, 0, ?2, ?3, ?4) "
            "ON CONFLICT (name) DO UPDATE "
            "SET size = ?2, modified_ns = ?3, failed = max(ifnull(failed, 0), ?4)",
            os.fsencode(file_of_row(row)),
            row["size"],
            row["modified_ns"],
            row["error"] is not None,
        )

    def forget(self, file: str) -> None:
        """Note that a file has no row any more."""
        self._execute("DELETE FROM file WHERE name = ?", os.fsencode(file))

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

    def is_due_again(self, file: str) -> bool:
        """Return whether a file that has a row with an error changed since, or can now be read."""
        line = "SELECT size, modified_ns FROM file WHERE name = ? AND failed"
        found = self._execute(line, os.fsencode(file)).fetchone()
        if found is None:
            return False
        return _can_be_read(file) if found[0] is None else identify_file(file) not in (None, found)

    def mark_changed(self, file: str) -> None:
        """Mark a file whose size or time is not the one that was noted with its row."""
        size, modified_ns = identify_file(file) or (None, None)
        line = (
            "UPDATE file SET changed = 1 WHERE name = ? AND (size IS NOT ? OR modified_ns IS NOT ?)"
        )
        self._execute(line, os.fsencode(file), size, modified_ns)

    def count_changed(self) -> int:
        """Count the files that were marked as changed."""
        return int(self._execute("SELECT count(*) FROM file WHERE changed = 1").fetchone()[0])

    def count_gone(self) -> int:
        """Count the files that have a row and were not listed."""
        return int(self._execute("SELECT count(*) FROM file WHERE listed = 0").fetchone()[0])

    def _execute(self, line: str, *values: object) -> sqlite3.Cursor:
        with explaining(*_NO_ROOM):
            return self._database.execute(line, values)


def remove_stale(shards: ShardFolder, listed: Callable[[], Iterable[str]]) -> int:
    """Remove the rows of files that changed and will be scored again; return how many files.

    A file is unchanged if its size and time are the same or, where only the time differs, its
    content. A file that is gone or not listed keeps its row, because it would get no other. A
    file that could not be read is tried again.

    `listed` lists the files of this run; it is called only if a file changed, because it may take
    minutes.
    """
    changed = set()
    last = None
    for row in shards.rows():
        file = file_of_row(row)
        if file != last and _has_changed(file, row):
            changed.add(file)
        last = file
    again = changed.intersection(listed()) if changed else changed
    if again:
        shards.remove(lambda row: file_of_row(row) in again)
    return len(again)


def _has_changed(file: str, row: Mapping[str, Any]) -> bool:
    now = identify_file(file)
    if now is None:
        return False
    same_size = now[0] in (None, row["size"])
    if same_size and now[1] == row["modified_ns"]:
        return False
    if row["sha256"] is None:
        return _can_be_read(file)
    try:
        return not same_size or sha256_of_bytes(read_bytes(file)) != row["sha256"]
    except UnreadableImage as error:
        # a member that left its archive is gone, like a file
        return split_member(file) is None or not error.reason.startswith("no such name")


def _can_be_read(file: str) -> bool:
    try:
        if Path(file).is_dir():
            next(Path(file).iterdir(), None)
        else:
            read_bytes(file)
    except (OSError, UnreadableImage):
        return False
    return True
