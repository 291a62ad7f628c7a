"""What to score: folders, globs, files, lists, tables and archives, as one stream in fixed order.

Nothing is held: a source of a million files takes the memory of one of a thousand.
"""

import codecs
import contextlib
import csv
import fnmatch
import functools
import math
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from sihwa.errors import DatasetNotFound, InvalidLabels, UnreadableImage
from sihwa.images import MEMBER_MARK, is_image_name, list_members, split_member, walk_folder
from sihwa.scoring.block import Entry
from sihwa.scoring.rows import file_of_row

__all__ = ["Sources", "counted"]

_LIST_SUFFIXES = (".txt", ".lst")
_ARCHIVE_SUFFIXES = (".zip", ".tar")
_READ_AS_SOURCE = (*_LIST_SUFFIXES, *_ARCHIVE_SUFFIXES, ".csv", ".parquet")
_PACKED_TAR = re.compile(r"\.(tgz|tbz2?|txz|tar\.(gz|bz2|xz|zst))$", re.IGNORECASE)
_MAGIC = re.compile(r"[*?[]")
_FORMULA = tuple("=+-@\t\r＝＋－＠")
"""What makes a spreadsheet program run a cell; those of full width, in an East Asian setting."""
_MOST_SUFFIXES = 20
_TEXT = "(large_)?string(_view)?"
_KINDS = {"path": _TEXT, "path_bytes": _TEXT, "page": f"u?int[0-9]+|float|double|{_TEXT}"}
"""The columns that name a file, and the kinds of Arrow that they may have."""

_NOT_UTF8 = (
    "No such file; its name is not UTF-8, so the list may not be either (cp949 on Korean Windows): "
    "save it as UTF-8"
)
Listing = Iterator[Entry]


class Sources:
    """The files that some words on a command line name; may be listed more than once.

    Args:
        words: Folders (with all below), globs in quotes, files, .zip and .tar archives, lists of
            paths (.txt, one a line or ended by NUL), tables with a column `path` (.csv,
            .parquet). A path in a list is relative to the list.

    Attributes:
        left_out: What the last listing met and did not list, by kind.
        suffixes: Of its files that are not named like pictures.

    Raises:
        DatasetNotFound: There is no such source.
        InvalidLabels: A table has no column `path`, or a list is UTF-16.
    """

    def __init__(self, words: Sequence[str | Path]) -> None:
        self.words = tuple(_no_formula(str(word)) for word in words)
        self.left_out: Counter[str] = Counter()
        self.suffixes: Counter[str] = Counter()
        self._listings = [self._open(word) for word in self.words]

    def __iter__(self) -> Listing:
        self.left_out.clear()
        self.suffixes.clear()
        for word, listing in zip(self.words, self._listings, strict=True):
            try:
                for entry in listing():
                    yield entry._replace(path=_no_formula(entry.path))
            except UnreadableImage as error:
                yield Entry(word, fault=error.reason)
            except (OSError, ValueError, csv.Error, pa.ArrowException) as error:
                # a list that breaks off is a fact about the source; what was listed stands
                reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:160]
                yield Entry(word, fault=f"the list breaks off: {reason}")

    def folders(self) -> list[str]:
        """Return the sources that are folders."""
        return [word for word in self.words if Path(word).is_dir()]

    def _open(self, word: str) -> Callable[[], Listing]:
        path = Path(word)
        suffix = path.suffix.lower()
        if "\0" in word or not os.path.lexists(path):
            if _MAGIC.search(word):
                return lambda: self._list_glob(word)
            raise DatasetNotFound(
                f"expected a folder of pictures, a glob, a file, a list or an archive, got "
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
        if suffix in _ARCHIVE_SUFFIXES:
            return lambda: self._list_archive(word)
        if suffix in (*_LIST_SUFFIXES, ".csv"):
            _require_utf8(path)
        if suffix in _LIST_SUFFIXES:
            return lambda: _list_lines(path)
        if suffix == ".csv":
            _require_path(_csv_names(path), word)
            return lambda: _list_csv(path)
        if suffix == ".parquet":
            _require_path(_parquet_names(path), word)
            return lambda: _list_parquet(path)
        return lambda: iter([Entry(word)])

    def _list_folder(
        self,
        root: str,
        wanted: re.Pattern[str] | None = None,
        passed: re.Pattern[str] | None = None,
    ) -> Listing:
        """List a folder: what is `wanted` of it, and what bars the way to it, as `passed`."""
        for found in walk_folder(root):
            path = found.path.removeprefix("./") if wanted else found.path
            if wanted and not wanted.fullmatch(path + "/"):
                barred = found.kind in ("folder link", "fault")
                if not (barred and passed and passed.fullmatch(path + "/")):
                    continue
            if found.kind == "image":
                yield Entry(path)
            elif found.kind == "fault":
                yield Entry(path, fault=found.reason)
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
            "(?:[^/]+/)*" if part == "**" else f"{_translated(part)}/" for part in parts[fixed:]
        ]
        prefix = "" if root == "." else re.escape(root.rstrip("/") + "/")
        # what it names may be a folder: a slash is set behind every path
        wanted = re.compile(f"{prefix}{''.join(steps)}(?:.*/)?", re.DOTALL)
        some = functools.reduce(lambda rest, step: f"(?:{step}{rest})?", reversed(steps), "")
        return self._list_folder(root, wanted, re.compile(f"{prefix}{some}", re.DOTALL))

    def _list_archive(self, archive: str) -> Listing:
        for member in list_members(archive):
            if is_image_name(member.name):
                yield Entry(f"{archive}{MEMBER_MARK}{member.name}", member)
            else:
                self._leave_out("other", member.name)

    def _leave_out(self, kind: str, path: str) -> None:
        self.left_out[kind] += 1
        if kind == "other":
            suffix = os.path.splitext(path)[1].lower() or "no suffix"  # noqa: PTH122 -- any bytes
            known = suffix in self.suffixes or len(self.suffixes) < _MOST_SUFFIXES
            self.suffixes[suffix[:20] if known else "others"] += 1


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

    >>> _translated("*.jpg") == r"(?s:(?=[^/]*/)[^/]*\.jpg)"
    True
    """
    pieces = re.split(r"(\*|\?|\[[^\]]+\])", part)
    wild = {"*": "[^/]*", "?": "[^/]"}
    body = "".join(
        wild.get(piece) or (_set(piece) if piece.startswith("[") else re.escape(piece))
        for piece in pieces
    )
    return f"(?s:(?=[^/]*/){body})"


def _set(piece: str) -> str:
    return fnmatch.translate(piece).removeprefix("(?s:").removesuffix(r")\Z").removesuffix(r")\z")


def _list_lines(path: Path) -> Listing:
    with path.open("rb") as file:
        end = b"\0" if b"\0" in file.read(2**16) else b"\n"
        file.seek(0)
        for line in _split(file, end):
            name = line.removesuffix(b"\r") if end == b"\n" else line
            if name:
                yield _listed(path, os.fsdecode(name))


def _split(file: IO[bytes], end: bytes) -> Iterator[bytes]:
    rest = b""
    first = True
    while piece := file.read(2**16):
        if first:
            piece, first = piece.removeprefix(b"\xef\xbb\xbf"), False
        *whole, rest = (rest + piece).split(end)
        yield from whole
    yield rest


def _list_csv(path: Path) -> Listing:
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        rows = csv.DictReader(file)
        for row in rows:
            yield _from_row(path, f"line={rows.line_num}", row)


def _list_parquet(path: Path) -> Listing:
    with pq.ParquetFile(path) as file:
        known = [name for name in _KINDS if name in file.schema_arrow.names]
        number = 0
        for batch in file.iter_batches(4096, columns=known):
            for row in batch.to_pylist():
                number += 1
                yield _from_row(path, f"row={number}", row)


def _from_row(table: Path, place: str, row: Mapping[str, Any]) -> Entry:
    """Return the file of a row; where it names none, what is wrong, at an address of its own."""
    try:
        return _listed(table, _file_of(row))
    except ValueError as error:
        return Entry(f"{table}#{place}", fault=str(error))


def _file_of(row: Mapping[str, Any]) -> str:
    """Return the file that a row of anybody's table names.

    >>> _file_of({"path": "스캔.tif#page=2", "page": "2.0"})  # pandas, where a page is missing
    '스캔.tif'
    """
    if not row.get("path"):
        raise ValueError("expected a path in this row of the list, got none; write one or drop it")
    page, raw = row.get("page"), row.get("path_bytes") or None
    try:
        number = math.nan if page in (None, "") else float(page)
    except ValueError:
        number = math.inf
    if not (math.isnan(number) or number.is_integer()):
        raise ValueError(
            f"expected a whole number as page in this row of the list, got {str(page)[:40]!r}"
        )
    try:
        return file_of_row(row["path"], raw, None if math.isnan(number) else int(number))
    except ValueError as error:
        raise ValueError(
            f"expected hex as path_bytes in this row of the list, got {str(raw)[:40]!r}"
        ) from error


def _listed(table: Path, name: str) -> Entry:
    path = str(table.parent / name)
    inside = split_member(os.path.join(table.parent, name))  # noqa: PTH118 -- as it is written
    if inside is not None:  # a member may be called ./1.png; that is another than 1.png
        path = f"{Path(inside[0])}{MEMBER_MARK}{inside[1]}"
    elif not _is_unicode(path) and not os.path.lexists(path):
        return Entry(path, fault=_NOT_UTF8)
    return Entry(path)


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _require_utf8(path: Path) -> None:
    """Refuse a list in UTF-16, which `>` in PowerShell writes; what cannot be read is told later.

    Raises:
        InvalidLabels: It begins with the mark of UTF-16.
    """
    with contextlib.suppress(OSError), path.open("rb") as file:
        if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise InvalidLabels(
                f"{path}: expected a list in UTF-8, got UTF-16 (as PowerShell's > writes it); "
                "save the list as UTF-8"
            )


def _csv_names(path: Path) -> Sequence[str]:
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            return csv.DictReader(file).fieldnames or ()
    except (OSError, csv.Error) as error:
        raise InvalidLabels(f"{path}: not a readable CSV: {error}") from error


def _parquet_names(path: Path) -> Sequence[str]:
    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:200]
        raise InvalidLabels(f"{path}: not a readable Parquet table: {reason}") from error
    for field in schema:
        packed = pa.types.is_dictionary(field.type)
        kind = field.type.value_type if packed else field.type
        wanted = _KINDS.get(field.name, ".*")
        if not re.fullmatch(f"null|{wanted}", str(kind), re.DOTALL):
            what = "a number" if field.name == "page" else "text"
            raise InvalidLabels(
                f"{path}: expected {what} in column {field.name!r}, got {str(kind)[:80]}; "
                "write the column anew"
            )
    names: Sequence[str] = schema.names
    return names


def _require_path(names: Sequence[str], word: str) -> None:
    if "path" not in names:
        raise InvalidLabels(
            f"{word}: expected a column 'path' that lists the pictures, found "
            f"{', '.join(names)[:120] or 'none'}"
        )
