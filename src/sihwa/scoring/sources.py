"""What to score: folders, globs, files, lists, tables and archives, as one stream in fixed order.

Only the names of one folder at a time are held in memory.
"""

import contextlib
import csv
import functools
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event, Thread

import pyarrow as pa
from wcmatch import glob

from sihwa.errors import DatasetError, UnreadableImage
from sihwa.images import (
    ARCHIVE_SUFFIXES,
    MEMBER_MARK,
    Found,
    is_image_name,
    list_members,
    service_name,
    walk_folder,
)
from sihwa.scoring.block import Entry
from sihwa.scoring.lists import LIST_SUFFIXES, Listing, open_list
from sihwa.terminal.names import printable

_PACKED_TAR = re.compile(r"\.(tgz|tbz2?|txz|tar\.(gz|bz2|xz|zst))$", re.IGNORECASE)
_MAGIC = re.compile(r"[*?[]")
_FORMULA = tuple("=+-@\t\r＝＋－＠")
"""Spreadsheet programs run such cells; the full-width signs, in an East Asian setting."""
_MOST_NAMES = 20


class Sources:
    """The files named by the words on a command line; may be listed more than once.

    Args:
        words: Folders (with all below), globs in quotes, files, .zip and .tar archives, lists of
            paths (.txt, one a line or ended by NUL), tables with a column `path` (.csv,
            .parquet). A path in a list is relative to the list.
        skip: A folder that is never listed: that of the table being written.

    Attributes:
        left_out: What the last listing found and left out, by kind.
        suffixes: Suffixes of its files that are not named like images.
        service: Its hidden and service names; see `sihwa.images.walk_folder`.
        empty: Words for which it found no image at all.

    Raises:
        DatasetError: A source does not exist, or a list cannot be read.
    """

    def __init__(self, words: Sequence[str | Path], skip: Path | None = None) -> None:
        self.skip = None if skip is None else os.path.realpath(skip)
        self.words = tuple(_no_formula(str(word)) for word in words)
        self.left_out: Counter[str] = Counter()
        self.suffixes: Counter[str] = Counter()
        self.service: Counter[str] = Counter()
        self.empty: list[str] = []
        self._listings = [self._open(word) for word in self.words]

    def __iter__(self) -> Listing:
        self.left_out.clear()
        self.suffixes.clear()
        self.service.clear()
        self.empty.clear()
        return (entry._replace(path=_no_formula(entry.path)) for entry in self._entries())

    def folders(self) -> list[str]:
        """Return the sources that are folders."""
        return [word for word in self.words if Path(word).is_dir()]

    def _entries(self) -> Listing:
        for word, listing in zip(self.words, self._listings, strict=True):
            entry = None
            try:
                for entry in listing():
                    yield entry
            except UnreadableImage as error:
                yield Entry(word, fault=error.reason)
            except (OSError, ValueError, csv.Error, pa.ArrowException) as error:
                # the entries listed so far stay, and this row says that others are missing
                reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:160]
                yield Entry(word, fault=f"listing failed midway: {reason}")
            else:
                if entry is None:
                    self.empty.append(word)

    def _open(self, word: str) -> Callable[[], Listing]:
        path = Path(word)
        suffix = path.suffix.lower()
        if "\0" in word or not os.path.lexists(path):
            if _MAGIC.search(word):
                return lambda: self._list_glob(word)
            raise DatasetError(
                f"expected a folder of images, a glob, a file, a list or an archive, got "
                f"{word!r}, not found"
            )
        if path.is_dir():
            return lambda: self._list_folder(word)
        if _PACKED_TAR.search(word):
            raise DatasetError(
                f"{word}: a packed .tar cannot be read in place; unpack it (gunzip {path.name}) "
                "or make it a .tar or .zip"
            )
        if suffix in (*LIST_SUFFIXES, *ARCHIVE_SUFFIXES) and path.exists() and not path.is_file():
            # opening a pipe would wait for its writer
            raise DatasetError(
                f"{word}: expected a regular file, got a pipe, socket or device; write its content "
                "to a file and name that"
            )
        if suffix in ARCHIVE_SUFFIXES:
            return lambda: self._list_archive(word)
        if suffix in LIST_SUFFIXES:
            return open_list(path)
        return lambda: iter([Entry(word)])

    def _list_folder(self, root: str) -> Listing:
        for found in walk_folder(root, self.skip):
            yield from self._entry_of(found)

    def _list_glob(self, pattern: str) -> Listing:
        """List what a glob names, and all below a folder that it names, as a shell would."""
        named = _Glob(pattern)
        if not Path(named.root).is_dir():
            raise UnreadableImage(pattern, f"no folder {named.root}")
        for found in walk_folder(named.root, self.skip, hidden=named.hidden):
            below = found.path[len(named.root.rstrip("/")) + 1 :]
            path = below if named.root == "." else found.path
            is_archive = path.lower().endswith(ARCHIVE_SUFFIXES)
            if found.kind == "other" and is_archive and named.names(below):
                yield from self._list_archive(path)
            elif named.covers(below) or (
                found.kind in ("folder link", "fault") and named.leads_to(below)
            ):
                yield from self._entry_of(found._replace(path=path))

    def _entry_of(self, found: Found) -> Listing:
        if found.kind in ("image", "fault"):
            yield Entry(found.path, fault=found.reason or None)
        else:
            self._leave_out(found.kind, found.path)

    def _list_archive(self, archive: str) -> Listing:
        try:
            for member in list_members(archive):
                if service_name(member.name):
                    self._leave_out("service", member.name)
                elif is_image_name(member.name):
                    yield Entry(f"{archive}{MEMBER_MARK}{member.name}", member)
                else:
                    self._leave_out("other", member.name)
        except UnreadableImage as error:
            yield Entry(archive, fault=error.reason)

    def _leave_out(self, kind: str, path: str) -> None:
        self.left_out[kind] += 1
        if kind == "other":
            _count(self.suffixes, _suffix(path))
        elif kind == "service":
            last = path.replace("\\", "/").rpartition("/")[2]
            name = service_name(last) or service_name(path) or ""
            _count(self.service, "._*" if name.startswith("._") else printable(name)[:20])


class _Glob:
    """A glob below the folder `root`; `**` is any number of folders, and a leading dot is explicit.

    >>> found = _Glob("parts/line-?/*.png")
    >>> found.root, found.names("line-1/a.png"), found.covers("line-1/a.png/b")
    ('parts', True, True)
    """

    def __init__(self, pattern: str) -> None:
        parts = Path(pattern).parts
        fixed = next(index for index, part in enumerate(parts) if _MAGIC.search(part))
        steps = parts[fixed:]
        above = ["/".join(steps[:count]) for count in range(1, len(steps))]
        self.root = str(Path(*parts[:fixed]))
        self.hidden = any(step.startswith(".") for step in steps)
        self._named = glob.compile("/".join(steps), flags=glob.GLOBSTAR)
        self._above = glob.compile(above, flags=glob.GLOBSTAR) if above else None
        self._covers_folder = functools.lru_cache(1024)(self.covers)

    def names(self, path: str) -> bool:
        return bool(self._named.match(path))

    def covers(self, path: str) -> bool:
        """Return whether the glob names a path or a folder above it."""
        folder = os.path.dirname(path)  # noqa: PTH120 -- any bytes, and fast
        return bool(folder and self._covers_folder(folder)) or self.names(path)

    def leads_to(self, path: str) -> bool:
        """Return whether the glob may name something below a path."""
        return self._above is not None and bool(self._above.match(path))


def _count(counts: Counter[str], name: str) -> None:
    """Count a name; beyond some different ones, as one of the others."""
    counts[name if name in counts or len(counts) < _MOST_NAMES else "others"] += 1


def _suffix(path: str) -> str:
    r"""Return what the summary counts a file under whose name is not that of an image.

    >>> _suffix("parts/NOTE.TXT"), _suffix("note.\udcff"), _suffix("parts/none")
    ('.txt', '.\\xff', 'no suffix')
    """
    suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122 -- any bytes
    return printable(suffix)[:20] or "no suffix"


def _no_formula(path: str) -> str:
    """Return a path to the same file that no spreadsheet program runs as a formula.

    >>> _no_formula("=cmd.png"), _no_formula("parts/=cmd.png")
    ('./=cmd.png', 'parts/=cmd.png')
    """
    return f"./{path}" if path.startswith(_FORMULA) else path


@contextlib.contextmanager
def counted(words: Sequence[str | Path]) -> Iterator[Callable[[], int | None]]:
    """Count the files in the background, for a progress bar; None until they are counted."""
    found: list[int] = []
    stop = Event()

    def count() -> None:
        number = 0
        for _ in Sources(words):
            number += 1
            if stop.is_set():
                return
        found.append(number)

    thread = Thread(target=count, name="count", daemon=True)
    if sys.stderr.isatty():  # otherwise there is no progress bar
        thread.start()
    try:
        yield lambda: found[0] if found else None
    finally:
        stop.set()
