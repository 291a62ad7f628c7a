"""Going on with a table: which of its rows are still true?"""

from pathlib import Path
from typing import Any

from sihwa.errors import UnreadableImage
from sihwa.images import Member, identify_file, read_content, split_member
from sihwa.scoring.rows import file_of_row
from sihwa.scoring.table import Table
from sihwa.storage import sha256_of_bytes

__all__ = ["remove_stale"]


def remove_stale(table: Table) -> int:
    """Remove the rows of files that changed since, and count these files.

    A file is the same when its size and time of change are; or, if only the time differs, when
    its content is, as after a copy. A file that is gone keeps its row: it was scored. One that
    could not be read at all is tried again.
    """
    stale: int = 0
    last: tuple[str | None, bool] = (None, True)

    def keep(row: dict[str, Any]) -> bool:
        nonlocal stale, last
        file = file_of_row(row["path"], row["path_bytes"], row["page"])
        if file != last[0]:
            last = file, _is_true(file, row)
            stale += not last[1]
        return last[1]

    table.keep(keep)
    return stale


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
    except UnreadableImage:
        return False


def _can_be_read(file: str) -> bool:
    try:
        if Path(file).is_dir():
            next(Path(file).iterdir(), None)
        else:
            read_content(file)
    except (OSError, UnreadableImage):
        return False
    return True
