"""What a run says: to the terminal as it happens, and to train.log for good."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from sihwa.errors import SihwaError, StorageError


@contextlib.contextmanager
def run_log(path: Path) -> Iterator[None]:
    """Send this package's log to the terminal and to `path`; a failure is its last line.

    Raises:
        StorageError: The file cannot be made.
    """
    logger = logging.getLogger("sihwa")
    try:
        file = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    screen = logging.StreamHandler()
    logger.setLevel(logging.INFO)
    handlers: tuple[logging.Handler, ...] = (file, screen)
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    except SihwaError as error:
        logger.removeHandler(screen)  # the command prints it
        logger.error("%s", error)
        raise
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()
