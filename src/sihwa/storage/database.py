"""SQLite: lookups on disk that need little memory and survive a kill."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sihwa.errors import StorageError

_WAIT_SECONDS = 60.0


def open_database(path: Path | None, *lines: str) -> sqlite3.Connection:
    """Open a database, making it if missing, and run some SQL statements.

    Several processes may share the file. None is a temporary one, which SQLite keeps in memory
    while it is small and deletes when it is closed.

    Raises:
        sqlite3.Error, OSError: It is damaged or cannot be written; see `explaining`.
    """
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path or "", timeout=_WAIT_SECONDS, isolation_level=None)
    try:
        for line in lines:
            database.execute(line)
    except BaseException:
        database.close()
        raise
    return database


@contextlib.contextmanager
def explaining(what: str, advice: str) -> Iterator[None]:
    """Turn an error of SQLite or the disk into a `StorageError`: what failed, what to do."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise StorageError(f"{what}: {error}. {advice}") from error
