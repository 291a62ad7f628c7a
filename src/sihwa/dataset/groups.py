r"""Groups: which images show one part, read from names, folders, columns or capture times.

The setting `dataset.group` names one source:

    column:NAME     a column of the table
    pattern:REGEX   what the captures of a regular expression match in the path below the root
    folder:N        the N-th folder above the image; 1 is the one that holds it
    every:N         N successive values of the last number in the name
    gap:N           a number more than N above the one before begins a new group
    time:SECONDS    a longer pause between two captures begins a new group

The setting `similar` takes groups from the images themselves; see alike.py.

`every` and `gap` count within images of one folder whose names differ in that number alone. A date
with a time, as 2024-05-01_10-32-07, is one number, in seconds. Folders that name splits do not
count.
"""

import contextlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from os.path import commonpath
from posixpath import normpath

from sihwa.dataset.item import Item, read_split_name
from sihwa.dataset.split import LEAST
from sihwa.errors import ConfigError, DatasetError
from sihwa.images import read_content

_SOURCES = ("column", "pattern", "folder", "every", "gap", "time")

_LAST_TIME = re.compile(
    r"^(.*?)(?<!\d)((?:19|20)\d\d)[-_.]?(\d\d)[-_.]?(\d\d)[-_. T]?(\d\d)[-_.]?(\d\d)[-_.]?(\d\d)"
    r"[^\d/]*[.][^./]*$",
    re.DOTALL,
)
"""A date and a time with seconds, as 2024-05-01_10-32-07 or 20240501103207."""
_LAST_NUMBER = re.compile(r"^(.*?)(\d+)[^\d/]*[.][^./]*$", re.DOTALL)


def read_groups(setting: str, items: Sequence[Item], exif_time: Sequence[str | None]) -> list[Item]:
    """Return the items with the groups that the setting names.

    Args:
        setting: `SOURCE:ARGUMENT`; see the module.
        items: The images, N.
        exif_time: When each was captured, (N,), as of `ImageFacts`; without it, `time` takes the
            time of the file.

    Raises:
        ConfigError: The setting has no such form.
        DatasetError: It gives no image a group.
    """
    return with_groups(setting, items, groups_of(setting, items, exif_time))


def with_groups(setting: str, items: Sequence[Item], groups: Sequence[str | None]) -> list[Item]:
    """Return the items with these groups, N names; refuse a setting that gives none."""
    if not any(groups):
        raise DatasetError(
            f"dataset.group={setting}: gives none of the {len(items)} images a group; the first "
            f"is {items[0].path}"
        )
    return [replace(item, group=group) for item, group in zip(items, groups, strict=True)]


def require_several_groups(setting: str | None, items: Sequence[Item]) -> None:
    """Refuse groups that leave a class, or every split, too few to choose from."""
    pairs = {(item.label, item.group or row) for row, item in enumerate(items)}
    images, groups = Counter(item.label for item in items), Counter(label for label, _ in pairs)
    all_splits = sum(LEAST.values())
    joined = [name for name in groups if groups[name] < LEAST["train"] <= images[name]]
    if not joined and not any(item.split for item in items) and max(groups.values()) < all_splits:
        joined = [name for name in groups if images[name] >= all_splits]
    if joined:
        name, count = min(joined), len({group for _, group in pairs})
        raise DatasetError(
            f"{f'dataset.group={setting}' if setting else 'groups of the data set'}: the "
            f"{len(items)} images make {count} groups, and the {images[name]} images of class "
            f"{name!r} only {groups[name]}; training takes {LEAST['train']} of a class, all splits "
            f"{all_splits}; choose groups that are single parts, or null for none"
        )


def time_notes(setting: str, exif_time: Sequence[str | None]) -> list[str]:
    """Return a note if groups by time take the time of files."""
    lacking = sum(not one for one in exif_time)
    if not setting.startswith("time:") or not lacking:
        return []
    return [
        f"dataset.group={setting}: {lacking} of {len(exif_time)} images have no capture time "
        "(EXIF), so the time at which their file was last changed is taken; a copy may change it"
    ]


def _file_time(path: str) -> datetime:
    return datetime.fromtimestamp(read_content(path)[1] / 1e9).astimezone()


def groups_of(
    setting: str, items: Sequence[Item], exif_time: Sequence[str | None] = ()
) -> list[str | None]:
    """Return the group of each image, None where the setting gives none."""
    source, _, argument = setting.partition(":")
    if source not in _SOURCES or not argument:
        raise ConfigError(
            f"dataset.group: expected one of {', '.join(f'{one}:...' for one in _SOURCES)}, "
            f"similar; got {setting!r}"
        )
    if source == "column":
        return _by_column(argument, items)
    paths = paths_below(items)
    if source == "pattern":
        return _by_pattern(argument, paths)
    number = _whole(argument, source)
    if source == "folder":
        return _by_folder(number, paths)
    paths = without_splits(paths)
    if source == "time":
        return _by_time(number, items, paths, exif_time or [None] * len(items))
    return _by_number(source, number, paths)


def paths_below(items: Sequence[Item]) -> list[str]:
    """Return each path below the folder that holds all images, with `/` between folders."""
    # a table may write one folder in two ways, as x/../a
    paths = [normpath(item.path.replace("\\", "/")) for item in items]
    shared = commonpath([path.rpartition("/")[0] or "." for path in paths]) if paths else ""
    return [path.removeprefix(shared).lstrip("/") for path in paths]


def without_splits(paths: Sequence[str]) -> list[str]:
    """Return paths below the root without folders that name splits.

    Images that were numbered in one row before they were divided count in one row again. Where
    names repeat between the splits, each was numbered by itself, and the folders stay.

    >>> without_splits(["train/good/1.png", "test/good/2.png"])
    ['good/1.png', 'good/2.png']
    >>> without_splits(["train/good/1.png", "test/good/1.png"])
    ['train/good/1.png', 'test/good/1.png']
    """
    divided = [path.partition("/") for path in paths]
    rest = [path for _, _, path in divided]
    is_split = all(path and read_split_name(folder) for folder, _, path in divided)
    return rest if is_split and len(set(rest)) == len(rest) else list(paths)


def _whole(argument: str, source: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,8}", argument):
        raise ConfigError(
            f"dataset.group={source}: expected a whole number above 0, got {argument!r}"
        )
    return int(argument)


def _by_column(name: str, items: Sequence[Item]) -> list[str | None]:
    if not any(name in item.attributes for item in items):
        known = sorted({one for item in items for one in item.attributes})
        raise DatasetError(
            f"dataset.group: no column {name!r}; columns: {', '.join(known) or 'none'}"
        )
    return [item.attributes.get(name) or None for item in items]


def _by_pattern(pattern: str, paths: Sequence[str]) -> list[str | None]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"dataset.group: not a regular expression: {pattern}: {error}") from error
    if not compiled.groups:
        raise ConfigError(
            f"dataset.group: {pattern} captures nothing; put what names the part in ( )"
        )
    found = (compiled.search(path) for path in paths)
    return ["\x1f".join(one or "" for one in match.groups()) if match else None for match in found]


def _by_folder(level: int, paths: Sequence[str]) -> list[str | None]:
    folders = [path.split("/")[:-1] for path in paths]
    return [
        "/".join(parts[: len(parts) - level + 1]) if len(parts) >= level else None
        for parts in folders
    ]


def _by_number(source: str, count: int, paths: Sequence[str]) -> list[str | None]:
    groups: list[str | None] = [None] * len(paths)
    for name, numbered in _series(paths).items():
        first = start = earlier = numbered[0][0]
        for number, row in numbered:
            if source == "every":
                start = first + (number - first) // count * count
            elif number - earlier > count:
                start = number
            earlier = number
            groups[row] = f"{name}{start}"
    return groups


def _series(paths: Sequence[str]) -> dict[str, list[tuple[int, int]]]:
    """Return the images that count in one row, each series sorted: {name: [(number, row)]}."""
    found: dict[str, list[tuple[int, int]]] = {}
    for row, path in enumerate(paths):
        if numbered := _last_number(path):
            found.setdefault(numbered[0], []).append((numbered[1], row))
    joined: dict[str, list[tuple[int, int]]] = {}
    for name, numbers in found.items():
        folder, _, before = name.rpartition("/")
        joined.setdefault(f"{folder}/{re.sub('[0-9]+', '#', before)}", []).extend(numbers)
    # exp1_num_17 and exp2_num_18 count in one row, lot1_17 and lot2_17 do not
    alone = all(len({n for n, _ in one}) == len(one) for one in joined.values())
    return {name: sorted(one) for name, one in (joined if alone else found).items()}


def _last_number(path: str) -> tuple[str, int] | None:
    """Return what is before the last number in the name, and the number; a time is in seconds.

    >>> _last_number("a/img_07.png")
    ('a/img_', 7)
    >>> earlier, later = (_last_number(f"a/2024-05-01_10-{one}.png") for one in ("31-59", "32-01"))
    >>> later[1] - earlier[1]
    2
    """
    if match := _LAST_TIME.match(path):
        with contextlib.suppress(ValueError):  # digits may be no date
            moment = datetime.strptime("".join(match.groups()[1:]), "%Y%m%d%H%M%S")
            return match[1], int((moment - datetime(1900, 1, 1)).total_seconds())
    if (match := _LAST_NUMBER.match(path)) and len(match[2]) <= 18:
        return match[1], int(match[2])
    return None


def _by_time(
    seconds: int, items: Sequence[Item], paths: Sequence[str], exif_time: Sequence[str | None]
) -> list[str | None]:
    folder = [path.rpartition("/")[0] for path in paths]
    captured = [
        datetime.fromisoformat(time).astimezone() if time else _file_time(item.path)
        for item, time in zip(items, exif_time, strict=True)
    ]
    timed = sorted(zip(folder, captured, range(len(items)), strict=True))
    groups: list[str | None] = [None] * len(items)
    start = timed[0]
    for before, now in pairwise([timed[0], *timed]):
        if now[0] != before[0] or (now[1] - before[1]).total_seconds() > seconds:
            start = now
        groups[now[2]] = f"{now[0]} {start[1].isoformat()}"
    return groups
