"""What to score: folders, globs, files, lists, tables and archives, as one stream in fixed order.

Nothing is held: a source of a million files takes the memory of one of a thousand.
"""

import contextlib
import csv
import fnmatch
import functools
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

import pyarrow as pa

from sihwa.errors import DatasetNotFound, UnreadableImage
from sihwa.images import ARCHIVE_SUFFIXES, MEMBER_MARK, is_image_name, list_members, walk_folder
from sihwa.scoring.block import Entry
from sihwa.scoring.lists import (
    Listing,
    csv_names,
    list_csv,
    list_lines,
    list_parquet,
    parquet_names,
    require_path,
    require_utf8,
)
from sihwa.storage import sha256_of_bytes
from sihwa.terminal.printable import printable

_LIST_SUFFIXES = (".txt", ".lst")
_READ_AS_SOURCE = (*_LIST_SUFFIXES, *ARCHIVE_SUFFIXES, ".csv", ".parquet")
_PACKED_TAR = re.compile(r"\.(tgz|tbz2?|txz|tar\.(gz|bz2|xz|zst))$", re.IGNORECASE)
_MAGIC = re.compile(r"[*?[]")
_FORMULA = tuple("=+-@\t\r＝＋－＠")
"""What makes a spreadsheet program run a cell; those of full width, in an East Asian setting."""
_MOST_SUFFIXES = 20
_LONGEST_NAME = 2**14
"""In bytes: four times what Linux opens, and short enough for any reader of a CSV."""
_SHOWN = 200


class _Glob(NamedTuple):
    """What a glob says of a path with a slash set behind it, for it may be a folder's."""

    named: re.Pattern[str]
    """The glob names it."""
    wanted: re.Pattern[str]
    """The glob names it, or a folder above it."""
    passed: re.Pattern[str]
    """What the glob names may lie below it."""


class Sources:
    """The files that some words on a command line name; may be listed more than once.

    Args:
        words: Folders (with all below), globs in quotes, files, .zip and .tar archives, lists of
            paths (.txt, one a line or ended by NUL), tables with a column `path` (.csv,
            .parquet). A path in a list is relative to the list.

    Attributes:
        left_out: What the last listing met and did not list, by kind.
        suffixes: Of its files that are not named like images.
        empty: Those of the words in which it found no image at all.

    Raises:
        DatasetNotFound: There is no such source.
        InvalidLabels: A table has no column `path`, or a list is UTF-16.
    """

    def __init__(self, words: Sequence[str | Path]) -> None:
        self.words = tuple(_no_formula(str(word)) for word in words)
        self.left_out: Counter[str] = Counter()
        self.suffixes: Counter[str] = Counter()
        self.empty: list[str] = []
        self._listings = [self._open(word) for word in self.words]

    def __iter__(self) -> Listing:
        self.left_out.clear()
        self.suffixes.clear()
        self.empty.clear()
        return map(_writable, self._entries())

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
                # a list that breaks off is a fact about the source; what was listed stands
                reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:160]
                yield Entry(word, fault=f"the list breaks off: {reason}")
            else:
                if entry is None:
                    self.empty.append(word)

    def _open(self, word: str) -> Callable[[], Listing]:
        path = Path(word)
        suffix = path.suffix.lower()
        if "\0" in word or not os.path.lexists(path):
            if _MAGIC.search(word):
                return lambda: self._list_glob(word)
            raise DatasetNotFound(
                f"expected a folder of images, a glob, a file, a list or an archive, got "
                f"{word!r}, not found"
            )
        if path.is_dir():
            return lambda: self._list_folder(word)
        if _PACKED_TAR.search(word):
            raise DatasetNotFound(
                f"{word}: a packed .tar cannot be read in place; unpack it (gunzip {path.name}) "
                "or make it a .tar or .zip"
            )
        if suffix in _READ_AS_SOURCE and path.exists() and not path.is_file():
            # opening a pipe would wait for its writer
            raise DatasetNotFound(
                f"{word}: expected a regular file, got a pipe, socket or device; write what it "
                "gives to a file and name that"
            )
        if suffix in ARCHIVE_SUFFIXES:
            return lambda: self._list_archive(word)
        if suffix in (*_LIST_SUFFIXES, ".csv"):
            require_utf8(path)
        if suffix in _LIST_SUFFIXES:
            return lambda: list_lines(path)
        if suffix == ".csv":
            require_path(csv_names(path), word)
            return lambda: list_csv(path)
        if suffix == ".parquet":
            require_path(parquet_names(path), word)
            return lambda: list_parquet(path)
        return lambda: iter([Entry(word)])

    def _list_folder(self, root: str, glob: _Glob | None = None) -> Listing:
        """List a folder, or what a glob names in it."""
        for found in walk_folder(root):
            path = found.path.removeprefix("./") if glob else found.path
            if glob and not glob.wanted.fullmatch(path + "/"):
                barred = found.kind in ("folder link", "fault")
                if not (barred and glob.passed.fullmatch(path + "/")):
                    continue
            if found.kind == "image":
                yield Entry(path)
            elif found.kind == "fault":
                yield Entry(path, fault=found.reason)
            elif glob and _is_archive(path) and glob.named.fullmatch(path + "/"):
                yield from self._list_archive(path)
            else:
                self._leave_out(found.kind, path)

    def _list_glob(self, pattern: str) -> Listing:
        """List what a glob names, and all below a folder that it names, as a shell would."""
        parts = Path(pattern).parts
        fixed = next(index for index, part in enumerate(parts) if _MAGIC.search(part))
        root = str(Path(*parts[:fixed])) if fixed else "."
        if not Path(root).is_dir():
            raise UnreadableImage(pattern, f"no folder {root}")
        steps = [
            r"(?:(?!\.)[^/]+/)*" if part == "**" else f"{_translated(part)}/"
            for part in parts[fixed:]
        ]
        prefix = "" if root == "." else re.escape(root.rstrip("/") + "/")
        whole = prefix + "".join(steps)
        some = functools.reduce(lambda rest, step: f"(?:{step}{rest})?", reversed(steps), "")
        patterns = (whole, f"{whole}(?:.*/)?", prefix + some)
        return self._list_folder(root, _Glob(*(re.compile(each, re.DOTALL) for each in patterns)))

    def _list_archive(self, archive: str) -> Listing:
        try:
            for member in list_members(archive):
                if is_image_name(member.name):
                    yield Entry(f"{archive}{MEMBER_MARK}{member.name}", member)
                else:
                    self._leave_out("other", member.name)
        except UnreadableImage as error:
            yield Entry(archive, fault=error.reason)

    def _leave_out(self, kind: str, path: str) -> None:
        self.left_out[kind] += 1
        if kind == "other":
            suffix = _suffix(path)
            known = suffix in self.suffixes or len(self.suffixes) < _MOST_SUFFIXES
            self.suffixes[suffix if known else "others"] += 1


def _suffix(path: str) -> str:
    r"""Return what the summary counts a file under that is no image by its name.

    >>> _suffix("parts/NOTE.TXT"), _suffix("note.\udcff"), _suffix("parts/._mac.jpg")
    ('.txt', '.\\xff', '._* of macOS')
    """
    if path.replace("\\", "/").rpartition("/")[2].startswith("._"):
        return "._* of macOS"
    suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122 -- any bytes
    return printable(suffix)[:20] or "no suffix"


def _is_archive(path: str) -> bool:
    return path.lower().endswith(ARCHIVE_SUFFIXES)


def _writable(entry: Entry) -> Entry:
    """Return an entry whose path any table can hold; one that is too long is cut, to a fault.

    >>> _writable(Entry("a" * 20_000)).fault
    'a name of 20000 bytes, more than the 16384 allowed'
    """
    path = _no_formula(entry.path)
    name = os.fsencode(path)
    if len(name) <= _LONGEST_NAME:
        return entry._replace(path=path)
    return Entry(
        f"{path[:_SHOWN]}... (SHA-256 {sha256_of_bytes(name)})",
        fault=f"a name of {len(name)} bytes, more than the {_LONGEST_NAME} allowed",
    )


def _no_formula(path: str) -> str:
    """Return a path that no spreadsheet program takes for a formula: the same file's, exactly.

    >>> _no_formula("=cmd.png"), _no_formula("parts/=cmd.png")
    ('./=cmd.png', 'parts/=cmd.png')
    """
    return f"./{path}" if path.startswith(_FORMULA) else path


@contextlib.contextmanager
def counted(words: Sequence[str | Path]) -> Iterator[Callable[[], int | None]]:
    """Count the files in the background, for a progress bar; None until it is known."""
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
    if sys.stderr.isatty():  # else nobody sees it
        thread.start()
    try:
        yield lambda: found[0] if found else None
    finally:
        stop.set()


def _translated(part: str) -> str:
    r"""Return a regular expression for one step of a glob: `*` stops at a slash.

    >>> _translated("*.jpg") == r"(?s:(?=[^/]*/)(?!\.)[^/]*\.jpg)"
    True
    """
    shown = "" if part.startswith(".") else r"(?!\.)"  # a dot in front hides, and must be written
    pieces = re.split(r"(\*|\?|\[[^\]]+\])", part)
    wild = {"*": "[^/]*", "?": "[^/]"}
    body = "".join(
        wild.get(piece) or (_set(piece) if piece.startswith("[") else re.escape(piece))
        for piece in pieces
    )
    return f"(?s:(?=[^/]*/){shown}{body})"


def _set(piece: str) -> str:
    return fnmatch.translate(piece).removeprefix("(?s:").removesuffix(r")\Z").removesuffix(r")\z")
