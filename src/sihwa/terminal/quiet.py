"""Keep the warnings of other packages off the user's terminal."""

import contextlib
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quieten(*loggers: str) -> Iterator[None]:
    """Hide warnings and the messages of these loggers; exceptions still propagate."""
    named = [logging.getLogger(name) for name in loggers]
    levels = [logger.level for logger in named]
    for logger in named:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(named, levels, strict=True):
            logger.setLevel(level)
