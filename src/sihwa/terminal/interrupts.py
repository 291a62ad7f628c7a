"""Ctrl-C in the middle of code that would lose it."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType


@contextlib.contextmanager
def heed_interrupts() -> Iterator[None]:
    """Raise KeyboardInterrupt at the end at the latest, whatever became of it on the way.

    PyTorch's exporter, which runs Python inside C++ inside Python, turns it into a TypeError of
    its own here and there, takes that for a network that it cannot trace, and tries another way.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a script started it in the background
        yield
        return
    pressed = False

    def press(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        nonlocal pressed
        pressed = True
        raise KeyboardInterrupt

    try:
        old = signal.signal(signal.SIGINT, press)
    except ValueError:  # a program that calls this in a thread minds its signals itself
        yield
        return
    try:
        yield
    except Exception:
        if pressed:
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.signal(signal.SIGINT, old)
    if pressed:
        raise KeyboardInterrupt
