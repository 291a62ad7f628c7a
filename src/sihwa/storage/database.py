"""SQLite, opened in one way: lookups on disk that take little memory and survive a kill."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sihwa.errors import StorageError

_WAIT_SECONDS = 60.0


def open_database(path: Path | None, *lines: str) -> sqlite3.Connection:
    """Open a database, made when missing, and run some lines in it.

    Args:
        path: Its file, which several processes may share; None for a private one, which is on disk
            as soon as it is large and is gone when it is closed or the process ends.
        lines: Settings and tables, in SQL.

    Raises:
        sqlite3.Error: It is damaged, or the disk refuses; `explaining` makes that one line.
        OSError: Its folder cannot be made.
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
    """Say in one line what failed and what to do, whatever SQLite or the disk refused.

    Raises:
        StorageError: It did.
    """
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise StorageError(f"{what}: {error}. {advice}") from error
