"""How commands speak: results on standard output, one-line errors on standard error."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

from sihwa.errors import SihwaError

__all__ = ["EXIT_INTERRUPTED", "errors_as_lines", "interrupted_later", "loading"]

EXIT_INTERRUPTED = 130
_STOPPED = "stopped; every file that is there is whole"


@contextlib.contextmanager
def errors_as_lines() -> Iterator[None]:
    """End the program with one line, no traceback, on any error that a user can cause."""
    try:
        yield
    except SihwaError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
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
    """While packages are imported, let Ctrl-C end the program at once, with one line.

    An exception would not do: some packages catch it in the middle of their import, and print it
    or go on without a part of themselves. Nothing is being written yet.
    """
    try:
        old = signal.signal(signal.SIGINT, _end)
    except ValueError:  # a program that calls this in a thread minds its signals itself
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, old)


@contextlib.contextmanager
def interrupted_later() -> Iterator[None]:
    """Let Ctrl-C wait for the end of a short block.

    OmegaConf turns an exception in the middle of its work into an error of its own, or loses it.
    """
    heard: list[int] = []
    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if not ours:
        yield
        return
    signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if heard:
        raise KeyboardInterrupt


def _end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    os.write(2, f"{_STOPPED}\n".encode())
    os._exit(EXIT_INTERRUPTED)
