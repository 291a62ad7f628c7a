"""The folder of one run: made once, held by one process, never overwritten; and its log."""

import contextlib
import logging
import os
import shutil
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from sihwa.errors import SihwaError, StorageError, UnreadableImage
from sihwa.storage import hold, write_text, writing
from sihwa.terminal.console import pasteable
from sihwa.terminal.names import printable

log = logging.getLogger(__name__)

FIRST_FOLD = "fold-1"


def create_run_folder(output_dir: Path, now: datetime) -> Path:
    """Make `<output_dir>/<date>/<time>`; a second run in the same second gets `<time>-2`."""
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
    """Point `<output_dir>/latest` to a finished run; return the link.

    Where links are not allowed (Windows without developer mode) `latest.txt` names the folder.
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


def hold_run(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Lock a run folder while this process writes there."""
    return hold(folder / ".lock", folder, "Wait for that run, or end it")


@contextlib.contextmanager
def advise_to_resume(folder: Path) -> Iterator[None]:
    """Add the command that resumes the run to an interrupt, a full disk or a missing image.

    A fold adds nothing: its cross-validation does.
    """
    if is_fold(folder):
        yield
        return
    command = pasteable(["python", "train.py", f"resume={folder}"])
    try:
        yield
    except KeyboardInterrupt:
        log.warning("interrupted; resume with: %s", command)
        raise
    except UnreadableImage as error:
        reason = f"{error.reason}. Then resume with: {command}"
        raise UnreadableImage(error.path, reason) from error
    except StorageError as error:
        raise StorageError(f"{error}. Once that is fixed, resume with: {command}") from error


def is_fold(folder: Path) -> bool:
    """Return whether a run folder is one fold inside the folder of a cross-validation."""
    return folder.name.startswith("fold-") and (folder.parent / "config.yaml").exists()


def clear_unfinished(folder: Path) -> None:
    """Remove the temporary files of a killed run, and an inspector without its report."""
    for path in folder.rglob(".*.tmp"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    shutil.rmtree(folder / "inspector", ignore_errors=True)


class _StandardError(logging.Handler):
    """Prints to `sys.stderr` as it is at that moment: a progress bar replaces it for a while."""

    def emit(self, record: logging.LogRecord) -> None:
        print(printable(self.format(record)), file=sys.stderr, flush=True)  # noqa: T201


@contextlib.contextmanager
def run_log(path: Path) -> Iterator[None]:
    """Send this package's log, from INFO up, to standard error and to `path`.

    An error that ends the run is the last line of the file; the command prints it on the terminal.
    """
    logger = logging.getLogger("sihwa")
    with writing(path):
        file = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    screen = _StandardError()
    logger.setLevel(logging.INFO)
    logger.addHandler(file)
    logger.addHandler(screen)
    try:
        yield
    except SihwaError as error:
        logger.removeHandler(screen)
        logger.error("%s", error)
        raise
    finally:
        logger.removeHandler(screen)
        logger.removeHandler(file)
        file.close()
