"""Files that are written whole or not at all (temporary name, fsync, rename), and locks."""

import contextlib
import errno
import functools
import hashlib
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock

from sihwa.errors import StorageError
from sihwa.terminal.console import note

_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
"""What locking gives where the file system knows no locks, or its server has none."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it replaces `path` in one step.

    On any error, including Ctrl-C, the temporary file is removed and `path` stays unchanged.

    Raises:
        StorageError: The disk is full or read-only, or permission is missing.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(Path(folder) / "a.txt") as temporary:
    ...         _ = temporary.write_text("whole")
    ...     (Path(folder) / "a.txt").read_text()
    'whole'
    """
    temporary = _temporary_name(path)
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.touch(exist_ok=False)
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
            _fsync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an `OSError` into a `StorageError` that names `path`."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


@contextlib.contextmanager
def usable_folder(path: Path) -> Iterator[None]:
    """Check before long work that a folder can be written to; make it if it is missing.

    On any error, including Ctrl-C, the folders that were made and are still empty are removed.

    Raises:
        StorageError: It is a file, or no file can be made in it.
    """
    with writing(path):
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        with writing(path):
            if missing:
                path.mkdir(parents=True)
            tempfile.TemporaryFile(dir=path).close()
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            for folder in missing:
                folder.rmdir()
        raise


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success it is renamed to `path` in one step.

    On any error, including Ctrl-C, it is removed with its files.

    Raises:
        StorageError: The folder cannot be written, or `path` exists and is not empty.
    """
    temporary = _temporary_name(path)
    try:
        with writing(path):
            temporary.mkdir(parents=True)
            yield temporary
            temporary.rename(path)
            _fsync_folder(path.parent)
    except StorageError as error:
        raise StorageError(str(error).replace(str(temporary), str(path))) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def hold(lock: Path, place: Path, advice: str) -> Iterator[None]:
    """Hold a lock that protects `place`, without waiting for another process that holds it.

    Its file is made if missing, and kept. The kernel releases it however the process ends. On a
    file system without locks, as some network shares are, nothing is held, and a note says so.

    Raises:
        StorageError: Another process holds it, or it cannot be made.
    """
    with writing(place):
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()  # an unwritable place must not look like a locked one
        has_locks = _has_locks(lock)
    if not has_locks:
        _tell_once(
            f"{place} is on a file system without locks; let one process at a time write there"
        )
        yield
        return
    with writing(place):
        held = filelock.FileLock(lock, blocking=False)
        try:
            held.acquire()
        except filelock.Timeout as error:
            raise StorageError(f"{place}: another process is writing there. {advice}") from error
    try:
        yield
    finally:
        held.release()


def _has_locks(file: Path) -> bool:
    """Tell whether the file system of a file has locks; whoever holds one does not matter.

    Where it has none, filelock would take the file, which is there, for the lock of another.
    """
    if os.name == "nt":
        return True
    import fcntl

    with file.open("rb") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno not in _NO_LOCKS
    return True


@functools.cache
def _tell_once(line: str) -> None:
    note(f"note: {line}")


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 with Unix line ends, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401 -- JSON has no narrower type
    """Write `value` as indented UTF-8 JSON; NaN and inf raise ValueError."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def sha256_of_bytes(content: bytes) -> str:
    """Return the hex SHA-256 of `content`."""
    return hashlib.sha256(content).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Return the hex SHA-256 of the file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _temporary_name(path: Path) -> Path:
    return path.with_name(f".{path.name[:64]}.{uuid.uuid4().hex}.tmp")


def _fsync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open a folder, and does not need this for a durable rename
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF):  # a share that syncs no folder
            raise
    finally:
        os.close(handle)
