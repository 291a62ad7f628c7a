"""Memory shared by threads: work on large images waits until there is room for it."""

import contextlib
import threading
from collections.abc import Iterator


class ByteBudget:
    """Bytes that all threads together may hold; one that needs more than all holds it alone.

    A thread that holds a share must not claim another one.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def claim(self, size: int) -> Iterator[None]:
        """Hold so many bytes; wait until they are free."""
        share = min(size, self._limit)
        with self._changed:
            self._changed.wait_for(lambda: self._held + share <= self._limit)
            self._held += share
        try:
            yield
        finally:
            with self._changed:
                self._held -= share
                self._changed.notify_all()
