"""How commands speak: results on standard output, one-line errors on standard error."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType

from sihwa.errors import SihwaError
from sihwa.printable import printable

__all__ = ["EXIT_INTERRUPTED", "errors_as_lines", "loading"]

EXIT_INTERRUPTED = 130
_STOPPED = "stopped; every file that is there is whole"


@contextlib.contextmanager
def errors_as_lines() -> Iterator[None]:
    """End the program with one line, no traceback, on any error that a user can cause."""
    try:
        yield
    except SihwaError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)  # noqa: T201
        raise SystemExit(error.exit_code) from error
    except KeyboardInterrupt:
        print(_STOPPED, file=sys.stderr)  # noqa: T201
        raise SystemExit(EXIT_INTERRUPTED) from None
    except BrokenPipeError:
        # what reads the output has ended (`| head`); Python's last flush must not complain of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None


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
    os.write(2, f"{_STOPPED}\n".encode())
    os._exit(EXIT_INTERRUPTED)
