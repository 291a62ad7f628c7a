"""What commands share: results on standard output, notes on standard error, quiet packages."""

import contextlib
import logging
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from subprocess import list2cmdline
from typing import Any

from sihwa.errors import ConfigError
from sihwa.terminal.names import printable

_ABORTED = 130
"""What Typer returns when it has caught Ctrl-C."""


def run_commands(app: Callable[..., Any]) -> None:
    """Run a Typer app; its errors are one line instead of a box."""
    try:
        code = app(standalone_mode=False)
    except Exception as error:
        # the class is Click's or Typer's own copy of it, by version; the methods are the same
        explain = getattr(error, "format_message", None)
        if explain is None:
            raise
        context = getattr(error, "ctx", None)
        program = context.command_path if context else Path(sys.argv[0]).name
        reason = explain()
        if not reason:  # no command was given, and the help is shown
            raise SystemExit(ConfigError.exit_code) from error
        end = "" if reason.endswith((".", "?")) else "."
        raise ConfigError(f"{reason}{end} See `{program} --help`") from error
    if code == _ABORTED:
        raise KeyboardInterrupt
    if code:
        raise SystemExit(code)


def a_path(text: str) -> Path:
    """Return a path given on the command line; refuse an empty one, as from `"$UNSET"`."""
    if not text:
        raise ConfigError("empty path; use . for the current directory")
    return Path(text)


def pasteable(words: Sequence[str]) -> str:
    """Return a command as the shell of this system takes it; cmd on Windows keeps single quotes."""
    return list2cmdline(words) if os.name == "nt" else shlex.join(words)


def say(line: str) -> None:
    """Print a line on standard output, with control characters in names escaped."""
    print(printable(line), flush=True)  # noqa: T201


def note(line: str) -> None:
    """Print a line on standard error, with control characters in names escaped."""
    print(printable(line), file=sys.stderr)  # noqa: T201


@contextlib.contextmanager
def quieten(*loggers: str) -> Iterator[None]:
    """Hide warnings and the messages of these loggers; exceptions still propagate."""
    levels = {logger: logger.level for logger in map(logging.getLogger, loggers)}
    for logger in levels:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)
