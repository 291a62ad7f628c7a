"""Files as they arrive in folders, each once it is complete."""

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Self

import watchfiles

from sihwa.errors import ConfigError
from sihwa.images import identify_file, is_image_name, walk_folder
from sihwa.scoring.block import Entry
from sihwa.scoring.ledger import Ledger

__all__ = ["Arrivals"]

_TICK_MS = 250
_SETTLED_SECONDS = 1.0
"""A file is complete when size and time of change stay the same for so long."""
_RESCAN_SECONDS = 60.0


class Arrivals:
    """What changes in some folders from now on.

    The system's own notice is used. It can lose some in a flood, and a network share may give
    none, so the folders are also listed again about every minute.

    Args:
        folders: With all that lies below.
        stop: Ends the watch.

    Raises:
        ConfigError: There is no folder to watch.
    """

    def __init__(self, folders: Sequence[str], stop: Event) -> None:
        if not folders:
            raise ConfigError("--watch needs a folder among the sources")
        self._folders = {os.path.abspath(folder): folder for folder in folders}  # noqa: PTH100
        self._waiting: dict[str, tuple[tuple[int, int] | None, float]] = {}
        self._changes = watchfiles.watch(
            *self._folders,
            watch_filter=None,
            rust_timeout=_TICK_MS,
            yield_on_timeout=True,
            stop_event=stop,
            raise_interrupt=False,
            ignore_permission_denied=True,
        )

    def __enter__(self) -> Self:
        self._note(next(self._changes, set()))  # the watch begins here
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._changes.close()

    def until_stopped(self, ledger: Ledger) -> Iterator[list[Entry]]:
        """Yield the files that became complete, several times a second, an empty list for none."""
        next_scan = time.monotonic() + _RESCAN_SECONDS
        for changes in self._changes:
            self._note(changes)
            if time.monotonic() >= next_scan:
                begin = time.monotonic()
                self._rescan(ledger)
                took = time.monotonic() - begin
                next_scan = time.monotonic() + max(_RESCAN_SECONDS, 20 * took)
            yield self._complete()

    def _note(self, changes: set[tuple[watchfiles.Change, str]]) -> None:
        for change, path in changes:
            if change == watchfiles.Change.deleted:
                continue
            name = self._as_given(path)
            if Path(name).is_dir():  # moved here with all that is in it
                for found in walk_folder(name):
                    if found.kind == "image":
                        self._waiting.setdefault(found.path, (None, 0.0))
            elif is_image_name(name):
                self._waiting.setdefault(name, (None, 0.0))

    def _rescan(self, ledger: Ledger) -> None:
        for folder in self._folders.values():
            for found in walk_folder(folder):
                if found.kind == "image" and not ledger.has(found.path):
                    self._waiting.setdefault(found.path, (None, 0.0))

    def _complete(self) -> list[Entry]:
        complete = []
        for path, (before, since) in sorted(self._waiting.items()):
            identity, now = identify_file(path), time.monotonic()
            if identity is None:  # gone again, as a temporary name is
                del self._waiting[path]
            elif identity != before:
                self._waiting[path] = identity, now
            elif now - since >= _SETTLED_SECONDS:
                del self._waiting[path]
                complete.append(Entry(path))
        return complete

    def _as_given(self, path: str) -> str:
        """Return a path as a listing would name it: below the folder as it was named."""
        for absolute, given in self._folders.items():
            if path.startswith(absolute.rstrip(os.sep) + os.sep):
                return os.path.join(given, path[len(absolute.rstrip(os.sep)) + 1 :])  # noqa: PTH118
        return path
