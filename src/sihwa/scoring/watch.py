"""Files as they arrive in folders, each once it is complete."""

import os
import time
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from threading import Event

import watchfiles

from sihwa.errors import ConfigError
from sihwa.images import identify_file, is_image_name, service_name, walk_folder
from sihwa.scoring.block import Entry
from sihwa.scoring.resume import Ledger
from sihwa.scoring.sources import Sources

_TICK_MS = 250
_SETTLED_SECONDS = 1.0
"""A file is complete when size and time of change stay the same for so long."""
_RESCAN_SECONDS = 60.0
_UNSEEN = ((-1, -1), 0.0)
"""Differs from any file, and from a broken link, which has no size and time (None)."""


class Arrivals:
    """Files that appear or change in the folders among the sources from now on.

    The operating system reports them. It can lose some in a flood, and a network share may report
    none, so the folders are also listed again about every minute. What is behind a link is found
    in this way. `stop` ends the watch.
    """

    def __init__(self, sources: Sources, stop: Event) -> None:
        folders = sources.folders()
        if not folders:
            raise ConfigError("--watch needs a folder among the sources")
        self._folders = {os.path.realpath(folder): folder.rstrip("/") or "/" for folder in folders}
        self._skip = sources.skip
        self._waiting: dict[str, tuple[tuple[int | None, int] | None, float]] = {}
        self._stop = stop
        self._scanned, self._scan_seconds = time.monotonic(), 0.0
        self._missed = False
        self._changes = self._watch()
        self._note(next(self._changes, set()))  # the watch begins here

    def close(self) -> None:
        """End the watch."""
        self._changes.close()

    def settled(self, listing: Iterable[Entry]) -> Iterator[Entry]:
        """Yield the files of a listing; one that may still be being written arrives later."""
        for entry in listing:
            identity = None if entry.fault or entry.member else identify_file(entry.path)
            if identity and time.time_ns() - identity[1] < _SETTLED_SECONDS * 1e9:
                self._waiting.setdefault(entry.path, _UNSEEN)
            else:
                yield entry

    def until_stopped(self, ledger: Ledger) -> Iterator[list[Entry]]:
        """Yield the files that became complete, several times a second; the list may be empty."""
        for changes in self._changes:
            self._note(changes)
            pause = _SETTLED_SECONDS if self._missed else _RESCAN_SECONDS
            if time.monotonic() - self._scanned >= max(pause, 20 * self._scan_seconds):
                self._missed = False
                self._rescan(ledger)
            yield self._complete()

    def _watch(self) -> Generator[set[tuple[watchfiles.Change, str]], None, None]:
        """Yield what changed, several times a second; survive a name that is not UTF-8.

        Such a name ends watchfiles, which loses the changes beside it and may fail to restart.
        Until it restarts, only listing the folders again finds new files.
        """
        while not self._stop.is_set():
            try:
                yield from watchfiles.watch(
                    *self._folders,
                    watch_filter=None,
                    rust_timeout=_TICK_MS,
                    yield_on_timeout=True,
                    stop_event=self._stop,
                    raise_interrupt=False,
                    ignore_permission_denied=True,
                )
            except RuntimeError:  # its own subclass is not public
                self._missed = True
                self._stop.wait(_TICK_MS / 1000)
                yield set()

    def _note(self, changes: set[tuple[watchfiles.Change, str]]) -> None:
        for change, path in changes:
            name = None if change == watchfiles.Change.deleted else self._as_given(path)
            if name is None:
                continue
            if Path(name).is_symlink() and Path(name).is_dir():
                self._missed = True  # listing the folders again tells whether it is followed
            elif Path(name).is_dir():  # it was moved here with its content
                for found in walk_folder(name, self._skip):
                    if found.kind == "image":
                        self._waiting.setdefault(found.path, _UNSEEN)
            elif is_image_name(name):
                self._waiting.setdefault(name, _UNSEEN)

    def _rescan(self, ledger: Ledger) -> None:
        begin = time.monotonic()
        for folder in self._folders.values():
            for found in walk_folder(folder, self._skip):
                if found.kind == "image" and (
                    not ledger.has(found.path) or ledger.is_due_again(found.path)
                ):
                    self._waiting.setdefault(found.path, _UNSEEN)
        self._scanned = time.monotonic()
        self._scan_seconds = self._scanned - begin

    def _complete(self) -> list[Entry]:
        complete = []
        for path, (before, since) in sorted(self._waiting.items()):
            identity, now = identify_file(path), time.monotonic()
            if identity is None and not os.path.lexists(path):  # it was a temporary name
                del self._waiting[path]
            elif identity != before:
                self._waiting[path] = identity, now
            elif now - since >= _SETTLED_SECONDS:
                del self._waiting[path]
                complete.append(Entry(path))
        return complete

    def _as_given(self, path: str) -> str | None:
        """Return a path as a listing would spell it, or None if no listing would hold it.

        The operating system reports a file by any of the ways that lead to it, links included.
        """
        folder, name = os.path.split(path)
        real = os.path.realpath(folder)
        if self._skip and Path(real).is_relative_to(self._skip):
            return None
        for source, given in self._folders.items():
            if real == source or real.startswith(source.rstrip(os.sep) + os.sep):
                below = os.path.join(real[len(source) :].strip(os.sep), name)  # noqa: PTH118
                return None if service_name(below) else os.path.join(given, below)  # noqa: PTH118
        self._missed = True  # it is behind a link, and may be listed elsewhere
        return None
