"""Going on with a table: which of its rows are still true?"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from sihwa.errors import StorageError, UnreadableImage
from sihwa.images import Member, identify_file, read_content, split_member
from sihwa.scoring.ledger import Ledger
from sihwa.scoring.rows import file_of_row
from sihwa.scoring.table import Table
from sihwa.storage import sha256_of_bytes


def remove_stale(table: Table, place: Path, listed: Callable[[], Iterable[str]]) -> int:
    """Remove the rows of files that changed since and will be scored again; count these files.

    A file is the same when its size and time of change are; or, if only the time differs, when
    its content is, as after a copy. A file that is gone or not listed keeps its row: it was
    scored, and would get no other. One that could not be read at all is tried again.

    The whole table is looked through before any of it is changed, so one that is damaged
    somewhere is left as it was.

    Args:
        table: What is there.
        place: Where it is, for messages.
        listed: Lists the files of this run; called only if some row is no longer true, for a
            listing may take minutes.

    Raises:
        StorageError: The table is not as it was written.
    """
    with Ledger() as stale, Ledger() as images:
        last: tuple[str | None, bool] = (None, True)
        for row in table.written():
            file = _file_of(row)
            if images.list(f"{row['page']}/{file}") == "twice":
                raise StorageError(
                    f"{place}: expected one row for each image, got two for {row['path']!r}; the "
                    "table was changed. Name another --out"
                )
            if file != last[0]:
                last = file, _is_true(file, row)
            if not last[1]:
                stale.add_written(file)
        for file in () if stale.is_empty() else listed():
            stale.mark_listed(file)
        table.keep(lambda row: not stale.is_listed(_file_of(row)))
        return stale.count_listed()


def _file_of(row: dict[str, Any]) -> str:
    return file_of_row(row["path"], row["path_bytes"], row["page"])


def _is_true(file: str, row: dict[str, Any]) -> bool:
    size, sha256 = row["size"], row["sha256"]
    inside = split_member(file)
    member = Member("", size or 0, None, plain=True) if inside else None
    now = identify_file(file, member)
    if now is None or now == (size, row["modified_ns"]):
        return True
    if sha256 is None:
        return not _can_be_read(file)
    try:
        return now[0] == size and sha256_of_bytes(read_content(file).content) == str(sha256)
    except UnreadableImage as error:
        # a member that its archive no longer has is gone, as a file would be
        return inside is not None and error.reason.startswith("no such name")


def _can_be_read(file: str) -> bool:
    try:
        if Path(file).is_dir():
            next(Path(file).iterdir(), None)
        else:
            read_content(file)
    except (OSError, UnreadableImage):
        return False
    return True
