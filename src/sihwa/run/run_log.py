"""The log of a run: on the terminal as it happens, and in train.log."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

from sihwa.errors import SihwaError, StorageError
from sihwa.terminal.printable import printable


class _StandardError(logging.Handler):
    """Prints to `sys.stderr` as it is at that moment: a progress bar replaces it for a while."""

    def emit(self, record: logging.LogRecord) -> None:
        print(printable(self.format(record)), file=sys.stderr, flush=True)  # noqa: T201


@contextlib.contextmanager
def run_log(path: Path) -> Iterator[None]:
    """Send this package's log, from INFO up, to standard error and to `path`.

    An error that ends the run is the last line of the file; the command prints it on the terminal.

    Raises:
        StorageError: The file cannot be made.
    """
    logger = logging.getLogger("sihwa")
    try:
        file = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error
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
