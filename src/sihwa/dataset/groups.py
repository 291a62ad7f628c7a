r"""Groups: which images show one part, read from names, folders, columns or capture times.

The setting `dataset.group` names one source:

    column:NAME     a column of the table
    pattern:REGEX   what the captures of a regular expression match in the path below the root
    folder:N        the N-th folder above the image; 1 is the one that holds it
    every:N         N successive values of the last number in the name
    gap:N           a number more than N above the one before begins a new group
    time:SECONDS    a longer pause between two captures begins a new group

The setting `similar` takes groups from the images themselves; see alike.py.

`every` and `gap` count within images of one folder whose names differ in that number alone.
"""

import contextlib
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from os.path import commonpath
from posixpath import normpath

import pyarrow as pa
from PIL import Image

from sihwa.dataset.item import Item
from sihwa.dataset.manifest import MANIFEST_SCHEMA
from sihwa.errors import ConfigError, DatasetError
from sihwa.images import read_content

_EXIF, _TAKEN, _CHANGED = 0x8769, 36867, 306
"""EXIF tags: the block of the camera's data, DateTimeOriginal in it, and DateTime."""

_SOURCES = ("column", "pattern", "folder", "every", "gap", "time")

_NAME_PART = re.compile(r"\d+|[^\W\d_]+|[\W_]")
_ANY = {"number": r"\d+", "word": r"[^\W\d_]+"}
_LAST_NUMBER = re.compile(r"^(.*?)(\d+)[^\d/]*[.][^./]*$", re.DOTALL)


def read_groups(
    setting: str, items: Sequence[Item], captured: Callable[[str], datetime] | None = None
) -> list[Item]:
    """Return the items with the groups that the setting names.

    Args:
        setting: `SOURCE:ARGUMENT`; see the module.
        items: The images.
        captured: Gives the capture time of a path; called for `time` alone.

    Raises:
        ConfigError: The setting has no such form.
        DatasetError: It gives no image a group.
    """
    groups = groups_of(setting, items, captured or captured_at)
    return with_groups(setting, items, groups)


def with_groups(setting: str, items: Sequence[Item], groups: Sequence[str | None]) -> list[Item]:
    """Return the items with these groups, N names; refuse a setting that gives none."""
    if not any(groups):
        raise DatasetError(
            f"dataset.group={setting}: gives none of the {len(items)} images a group; the first "
            f"is {items[0].path}"
        )
    return [replace(item, group=group) for item, group in zip(items, groups, strict=True)]


def captured_at(path: str) -> datetime:
    """Return when an image was captured: by its EXIF data, else when its file was last changed."""
    content, modified_ns = read_content(path)
    with contextlib.suppress(Exception), Image.open(io.BytesIO(content)) as image:
        exif = image.getexif()
        text = exif.get_ifd(_EXIF).get(_TAKEN) or exif[_CHANGED]
        return datetime.strptime(str(text), "%Y:%m:%d %H:%M:%S").astimezone()
    return datetime.fromtimestamp(modified_ns / 1e9).astimezone()


def groups_of(
    setting: str, items: Sequence[Item], captured: Callable[[str], datetime] = captured_at
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
    if source == "time":
        return _by_time(number, items, paths, captured)
    return _by_number(source, number, paths)


def group_candidates(table: pa.Table) -> dict[str, list[str | None]]:
    """Return the groups of each setting that may separate the parts, {setting: N groups}.

    Args:
        table: Of a manifest, N rows; text columns of the source are candidates, too.
    """
    attributes = table.drop_columns(MANIFEST_SCHEMA.names).to_pylist()
    rows = zip(table["path"].to_pylist(), table["label"].to_pylist(), attributes, strict=True)
    items = [Item(path, label, attributes=values) for path, label, values in rows]
    columns = sorted({name for item in items for name in item.attributes})
    settings = [f"column:{name}" for name in columns]
    settings += name_settings(paths_below(items))
    named = {setting: groups_of(setting, items) for setting in settings}
    return named | {"similar": table["similar"].to_pylist()}


def name_settings(paths: Sequence[str]) -> Iterator[str]:
    r"""Yield the settings that may separate the parts of images with these paths.

    Patterns are built from the commonest form of name: what is alike in all of them stays as it is,
    and each choice of what differs is a candidate for what names the part.

    Args:
        paths: Paths below the root, as of `paths_below`.

    >>> list(name_settings(["p1_a.png", "p1_b.png", "p2_a.png"]))[:2]
    ['pattern:p(\\d+)_[^\\W\\d_]+[.]', 'pattern:p\\d+_([^\\W\\d_]+)[.]']
    """
    deepest = max(path.count("/") for path in paths)
    for fields in _name_fields(paths):
        yield f"pattern:{fields}"
        if deepest:
            yield f"pattern:^(.*/){fields}"
    yield from (f"folder:{level}" for level in range(1, deepest + 1))
    yield from (f"gap:{gap}" for gap in (50, 20, 10, 5, 3, 2, 1))
    yield from (f"every:{count}" for count in range(2, 13))


def _name_fields(paths: Sequence[str]) -> Iterator[str]:
    """Yield regular expressions of the commonest form of name, each capturing other fields."""
    names = [_NAME_PART.findall(path.rpartition("/")[2].rpartition(".")[0]) for path in paths]
    forms = Counter(tuple(map(_kind, name)) for name in names)
    form, count = forms.most_common(1)[0]
    if 2 * count < len(names):
        return
    alike = [
        set(column)
        for column in zip(*(n for n in names if tuple(map(_kind, n)) == form), strict=True)
    ]
    differing = [place for place, found in enumerate(alike) if len(found) > 1]
    last = len(differing)
    chosen = [differing[:end] for end in range(last - 1, 0, -1)]
    chosen += [differing[start:] for start in range(1, last)]
    chosen += [differing[:one] + differing[one + 1 :] for one in range(1, last - 1)]
    chosen += [[place] for place in differing[1 : last - 1]]
    for places in chosen:
        yield (
            "".join(
                f"({_ANY[kind]})"
                if place in places
                else _ANY[kind]
                if place in differing
                else re.escape(next(iter(alike[place])))
                for place, kind in enumerate(form)
            )
            + "[.]"
        )


def _kind(text: str) -> str:
    return "number" if text.isdecimal() else "word" if text.isalpha() else text


def paths_below(items: Sequence[Item]) -> list[str]:
    """Return each path below the folder that holds all images, with `/` between folders."""
    # a table may write one folder in two ways, as x/../a
    paths = [normpath(item.path.replace("\\", "/")) for item in items]
    shared = commonpath([path.rpartition("/")[0] or "." for path in paths]) if paths else ""
    return [path.removeprefix(shared).lstrip("/") for path in paths]


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
    named = [(row, _LAST_NUMBER.match(path)) for row, path in enumerate(paths)]
    found: dict[str, list[tuple[int, int]]] = {}
    for row, match in named:
        if match and len(match[2]) <= 18:
            found.setdefault(match[1], []).append((int(match[2]), row))
    joined: dict[str, list[tuple[int, int]]] = {}
    for name, numbered in found.items():
        folder, _, before = name.rpartition("/")
        joined.setdefault(f"{folder}/{re.sub('[0-9]+', '#', before)}", []).extend(numbered)
    # exp1_num_17 and exp2_num_18 count in one row, lot1_17 and lot2_17 do not
    alone = all(len({n for n, _ in one}) == len(one) for one in joined.values())
    return {name: sorted(one) for name, one in (joined if alone else found).items()}


def _by_time(
    seconds: int, items: Sequence[Item], paths: Sequence[str], captured: Callable[[str], datetime]
) -> list[str | None]:
    folder = [path.rpartition("/")[0] for path in paths]
    timed = sorted((folder[row], captured(item.path), row) for row, item in enumerate(items))
    groups: list[str | None] = [None] * len(items)
    start = timed[0]
    for before, now in pairwise([timed[0], *timed]):
        if now[0] != before[0] or (now[1] - before[1]).total_seconds() > seconds:
            start = now
        groups[now[2]] = f"{now[0]} {start[1].isoformat()}"
    return groups
