"""One process at a time in one place, by a lock that the kernel lets go of however it ends."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import filelock

from sihwa.errors import StorageError
from sihwa.storage.files import writing


@contextlib.contextmanager
def hold(lock: Path, place: Path, advice: str) -> Iterator[None]:
    """Hold a place alone; a second process is told so at once.

    Args:
        lock: The file that is locked; made when missing, and left there.
        place: What it stands for, for the message.
        advice: What to do, if another process holds it.

    Raises:
        StorageError: Another process holds it, or the disk refuses.
    """
    with writing(place):
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()  # else a place that takes no file at all would look locked
        held = filelock.FileLock(lock, blocking=False)
        try:
            held.acquire()
        except filelock.Timeout as error:
            raise StorageError(f"{place}: another process is writing there. {advice}") from error
    try:
        yield
    finally:
        held.release()
