"""One guard around every command: errors, Ctrl-C, SIGTERM and lost streams end in one line."""

import contextlib
import io
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from sihwa.errors import SihwaError
from sihwa.terminal.console import note
from sihwa.terminal.cores import limit_libraries

EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143
_LINES = {
    signal.SIGINT: "interrupted; no partial files were left behind",
    signal.SIGTERM: "terminated; no partial files were left behind",
}


class _State:
    """State of the guard in this process."""

    received: int | None = None
    """The signal that came: a library may swallow its exception or raise another for it."""
    is_working = False
    """Whether files may be partly written, so that an exception has to remove them."""
    output_lost = False
    """Whether standard output could not be written."""


_state = _State()


@contextlib.contextmanager
def guarding() -> Iterator[None]:
    """Run a command so that it ends with at most one line and an exit code.

    Until `begin_work` is called, a signal ends the process at once: an exception would be caught
    by packages in the middle of their import, or turned into an error by OmegaConf.

    Raises:
        SystemExit: 1 or 2 after an error, 130 after Ctrl-C, 143 after SIGTERM.
    """
    global _state
    _state = _State()
    limit_libraries()
    _guard_streams()
    process = os.getpid()

    def receive(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        _state.received = number
        if os.getpid() != process:  # a forked worker prints nothing
            os._exit(128 + number)
        if not _state.is_working:
            with contextlib.suppress(OSError):
                os.write(2, f"{_LINES[signal.Signals(number)]}\n".encode())
            os._exit(128 + number)
        raise KeyboardInterrupt

    old = {number: signal.getsignal(number) for number in _LINES}
    for number in _LINES:
        if old[number] is not signal.SIG_IGN:  # as in a script's background job
            signal.signal(number, receive)
    try:
        yield
        raise_if_interrupted()
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:
        code = _report(error)
        if code is None:
            raise
        raise SystemExit(code) from error
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
        output_lost = _state.output_lost
        _state = _State()  # a program may run several commands: the next one was not interrupted
    if output_lost:
        raise SystemExit(1)


def begin_work() -> None:
    """From here on, let a signal raise KeyboardInterrupt, so that temporary files are removed."""
    raise_if_interrupted()
    _state.is_working = True


def raise_if_interrupted() -> None:
    """Raise an interrupt again that a library may have swallowed."""
    if _state.received is not None:
        raise KeyboardInterrupt


@contextlib.contextmanager
def keeping_interrupts() -> Iterator[None]:
    """Raise KeyboardInterrupt where a library swallows it or makes another error of it.

    PyTorch's exporter, which runs Python inside C++ inside Python, turns it into a TypeError, takes
    that for a network that it cannot trace, and tries another way.
    """
    try:
        yield
    except Exception:
        raise_if_interrupted()
        raise
    raise_if_interrupted()


def _report(error: BaseException) -> int | None:
    """Print the line of an error and return the exit code; None for a defect."""
    if _state.received is not None or isinstance(error, KeyboardInterrupt):
        number = signal.Signals(_state.received or signal.SIGINT)
        note(_LINES[number])
        return 128 + number
    if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("sihwa"):
        note(f'error: {error.name} is not installed; training needs: pip install "sihwa[train]"')
        return 1
    if not isinstance(error, SihwaError):
        return None
    for line in getattr(error, "__notes__", ()):
        note(f"note: {line}")
    note(f"error: {error}")
    return error.exit_code


class _Notes(io.TextIOWrapper):
    """A stream that can show any name in any encoding, and drops what it cannot write."""

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
    """Reports once that it cannot write; the command continues and exits with code 1.

    A reader that has ended, such as `| head`, is not an error.
    """

    def _lose(self, error: OSError) -> None:
        super()._lose(error)
        if not isinstance(error, BrokenPipeError):
            _state.output_lost = True
            note(f"error: cannot write to standard output: {error.strerror}")


def _guard_streams() -> None:
    for name, kind in (("stdout", _Results), ("stderr", _Notes)):
        stream = getattr(sys, name)
        if stream is None:  # closed by the program that started this one
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        elif type(stream) is io.TextIOWrapper:  # what tests put there stays
            setattr(sys, name, kind(stream))
