"""File locks: one writer at a time; the kernel releases the lock of a killed process."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import filelock

from sihwa.errors import StorageError
from sihwa.storage.files import writing


@contextlib.contextmanager
def hold(lock: Path, place: Path, advice: str) -> Iterator[None]:
    """Hold a lock, without waiting for another process that holds it.

    Args:
        lock: The file to lock; made if missing, and kept.
        place: The folder or file that it protects, for the message.
        advice: What to do if another process holds it.

    Raises:
        StorageError: Another process holds it, or it cannot be made.
    """
    with writing(place):
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()  # an unwritable place must not look like a locked one
        held = filelock.FileLock(lock, blocking=False)
        try:
            held.acquire()
        except filelock.Timeout as error:
            raise StorageError(f"{place}: another process is writing there. {advice}") from error
    try:
        yield
    finally:
        held.release()
