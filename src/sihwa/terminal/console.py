"""How commands speak: results on standard output, one-line errors and notes on standard error."""

import contextlib
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from sihwa.errors import ConfigError, SihwaError, StorageError
from sihwa.terminal.printable import printable

EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143
_STOPPED = "stopped; every file that is there is whole"


class _OutputLost(StorageError):
    """Standard output takes no more."""


@contextlib.contextmanager
def errors_as_lines() -> Iterator[None]:
    """End the program with one line, no traceback, on any error that a user can cause."""
    _guard_streams()
    try:
        yield
        sys.stdout.flush()
    except SihwaError as error:
        if not _is_pipe_that_ended(error):
            note(f"error: {error}")
        raise SystemExit(error.exit_code) from error
    except KeyboardInterrupt:
        note(_STOPPED)
        raise SystemExit(EXIT_INTERRUPTED) from None


def run_commands(app: Callable[..., Any]) -> None:
    """Run a Typer app; what it would say of a wrong word in a box of its own is one line, too.

    Raises:
        ConfigError: A word on the command line is not understood.
        KeyboardInterrupt: Ctrl-C was pressed: Typer makes a silent exit of it.
    """
    try:
        code = app(standalone_mode=False)
    except Exception as error:
        # the class is Click's or Typer's own copy of it, by version; what it offers is the same
        explain = getattr(error, "format_message", None)
        if explain is None:
            raise
        context = getattr(error, "ctx", None)
        program = context.command_path if context else Path(sys.argv[0]).name
        said = explain().rstrip(".?")
        raise ConfigError(f"{said}. `{program} --help` shows what there is") from error
    if code == EXIT_INTERRUPTED:
        raise KeyboardInterrupt
    if code:
        raise SystemExit(code)


@contextlib.contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end the program by an exception, so that what is temporary is removed."""

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        note(_STOPPED)
        raise SystemExit(EXIT_TERMINATED)

    old = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)


@contextlib.contextmanager
def saying_if_possible() -> Iterator[None]:
    """Go on where standard output takes no more: what is said here is also written elsewhere."""
    try:
        yield
    except _OutputLost as error:
        if not _is_pipe_that_ended(error):
            note(str(error))


def _is_pipe_that_ended(error: SihwaError) -> bool:
    """Say whether what reads the output has ended, as `| head` does once it has all it wants."""
    return isinstance(error, _OutputLost) and isinstance(error.__cause__, BrokenPipeError)


def a_path(text: str) -> Path:
    """Return a path that was given on the command line; `"$UNSET"` is no folder.

    Raises:
        ConfigError: It is empty.
    """
    if not text:
        raise ConfigError("expected a path, got an empty word; name the current folder as .")
    return Path(text)


def say(line: str) -> None:
    """Print a line on standard output, whatever names it holds."""
    print(printable(line), flush=True)  # noqa: T201


def note(line: str) -> None:
    """Print a line on standard error, whatever names it holds."""
    print(printable(line), file=sys.stderr)  # noqa: T201


class _Notes(io.TextIOWrapper):
    """A stream that shows any name in whatever code, and drops all from where it cannot write."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        super().__init__(
            stream.buffer,
            stream.encoding,
            "backslashreplace",
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )

    def write(self, text: str) -> int:
        try:
            super().write(text)
        except OSError as error:
            self._lose(error)
        return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, _: OSError) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())


class _Results(_Notes):
    """The same, but it says once that it cannot write."""

    def _lose(self, error: OSError) -> None:
        super()._lose(error)
        reason = f"cannot write to standard output: {error.strerror}"
        raise _OutputLost(reason) from error


def _guard_streams() -> None:
    for name, kind in (("stdout", _Results), ("stderr", _Notes)):
        stream = getattr(sys, name)
        if stream is None:  # closed by who started the program
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        elif type(stream) is io.TextIOWrapper:  # what tests put there stays
            setattr(sys, name, kind(stream))


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """While nothing is written yet, let Ctrl-C end the program at once, with one line.

    An exception would not do: some packages catch it in the middle of their import, and print it
    or go on without a part of themselves; OmegaConf turns it into an error of its own.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a script started it in the background
        yield
        return
    try:
        old = signal.signal(signal.SIGINT, _end)
    except ValueError:  # a program that calls this in a thread minds its signals itself
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, old)


def _end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    with contextlib.suppress(OSError):
        os.write(2, f"{_STOPPED}\n".encode())
    os._exit(EXIT_INTERRUPTED)
