"""The folder of one run: never shared, never overwritten; `latest` points to the newest."""

import contextlib
import logging
import os
import shlex
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from sihwa.errors import StorageError, UnreadableImage
from sihwa.storage import write_text
from sihwa.storage.lock import hold

log = logging.getLogger(__name__)


def create_run_folder(output_dir: Path, now: datetime) -> Path:
    """Make `<output_dir>/<date>/<time>`; a second run of one second gets `<time>-2`.

    Raises:
        StorageError: The folder cannot be made.
    """
    day = output_dir.expanduser() / now.strftime("%Y-%m-%d")
    stem = now.strftime("%H-%M-%S")
    try:
        day.mkdir(parents=True, exist_ok=True)
        for count in range(1, 1000):
            folder = day / (stem if count == 1 else f"{stem}-{count}")
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                return folder.resolve()
    except OSError as error:
        raise StorageError(f"output_dir: cannot make {day}: {error.strerror}") from error
    raise StorageError(f"output_dir: {day} already holds 1,000 runs of {stem}")


def point_latest(output_dir: Path, folder: Path) -> Path:
    """Let `<output_dir>/latest` point to a finished run; return what was written.

    Where links are not allowed (Windows without developer mode) a `latest.txt` names the folder.
    """
    link = output_dir.expanduser() / "latest"
    temporary = link.with_name(f".latest.{os.getpid()}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(os.path.relpath(folder, link.parent.resolve()), True)
        temporary.replace(link)
    except OSError:
        temporary.unlink(missing_ok=True)
        link = link.with_suffix(".txt")
        write_text(link, f"{folder}\n")
    return link


@contextlib.contextmanager
def hold_run(folder: Path) -> Iterator[None]:
    """Keep other processes out of a run folder while this one writes there.

    Raises:
        StorageError: Another process writes there.
    """
    with hold(folder / ".lock", folder, "Wait for that run, or end it"):
        yield


@contextlib.contextmanager
def advising_to_resume(folder: Path) -> Iterator[None]:
    """When the run is interrupted, the disk refuses or an image is gone, say how to go on."""
    command = shlex.join(["python", "train.py", f"resume={folder}"])
    try:
        yield
    except KeyboardInterrupt:
        log.warning("interrupted; go on with: %s", command)
        raise
    except (StorageError, UnreadableImage) as error:
        if not (folder / "config.yaml").exists():  # there is nothing yet to go on from
            raise
        advice = f". Once that is mended, go on with: {command}"
        if isinstance(error, UnreadableImage):
            raise UnreadableImage(error.path, error.reason + advice) from error
        raise StorageError(f"{error}{advice}") from error


def is_fold(folder: Path) -> bool:
    """Tell whether a run folder is one fold of a cross-validation, which lies around it."""
    return folder.name.startswith("fold-") and (folder.parent / "config.yaml").exists()


def clear_unfinished(folder: Path) -> None:
    """Remove what a killed run left under temporary names, and an inspector without its report."""
    for path in folder.rglob(".*.tmp"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    shutil.rmtree(folder / "inspector", ignore_errors=True)
