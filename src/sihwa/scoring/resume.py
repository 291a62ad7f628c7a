"""Which rows of a table are still true, when a run resumes it."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from sihwa.errors import UnreadableImage
from sihwa.images import identify_file, read_content, split_member
from sihwa.scoring.rows import file_of_row
from sihwa.scoring.shards import ShardFolder
from sihwa.storage import sha256_of_bytes


def remove_stale(shards: ShardFolder, listed: Callable[[], Iterable[str]]) -> int:
    """Remove the rows of files that changed and will be scored again; return how many files.

    A file is unchanged if its size and time are the same or, where only the time differs, its
    content. A file that is gone or not listed keeps its row, because it would get no other. A
    file that could not be read is tried again.

    Args:
        shards: The rows of the table.
        listed: Lists the files of this run; called only if a file changed, because it may take
            minutes.

    Raises:
        StorageError: A shard cannot be read, or the disk refuses.
    """
    changed = set()
    last = None
    for row in shards.rows():
        file = file_of_row(row)
        if file != last and _has_changed(file, row):
            changed.add(file)
        last = file
    if not changed:
        return 0
    again = changed.intersection(listed())
    shards.remove(lambda row: file_of_row(row) in again)
    return len(again)


def _has_changed(file: str, row: Mapping[str, Any]) -> bool:
    size, sha256 = row["size"], row["sha256"]
    now = identify_file(file)
    if now is None or (now[0] in (None, size) and now[1] == row["modified_ns"]):
        return False
    if sha256 is None:
        return _can_be_read(file)
    try:
        return now[0] not in (None, size) or sha256_of_bytes(read_content(file).content) != str(
            sha256
        )
    except UnreadableImage as error:
        # a member that left its archive is gone, like a file
        return split_member(file) is None or not error.reason.startswith("no such name")


def _can_be_read(file: str) -> bool:
    try:
        if Path(file).is_dir():
            next(Path(file).iterdir(), None)
        else:
            read_content(file)
    except (OSError, UnreadableImage):
        return False
    return True
