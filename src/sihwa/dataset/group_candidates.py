"""Which settings of `dataset.group` names, folders, columns and capture times offer.

Axes: N images.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import pyarrow as pa

from sihwa.dataset.groups import groups_of, paths_below, without_splits
from sihwa.dataset.item import Item
from sihwa.dataset.manifest import MANIFEST_SCHEMA

_NAME_PART = re.compile(r"\d+|[^\W\d_]+|[\W_]")
_ANY = {"number": r"\d+", "word": r"[^\W\d_]+"}
_PAUSES = (1800, 300, 60, 15, 5, 2)
"""Seconds between two parts."""


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
    exif_time = table["exif_time"].to_pylist()
    if all(exif_time):
        settings += [f"time:{seconds}" for seconds in _PAUSES]
    named = {setting: groups_of(setting, items, exif_time) for setting in settings}
    return named | {"similar": table["similar"].to_pylist()}


def image_orders(table: pa.Table) -> list[list[int]]:
    """Return the orders in which images may have been captured, each N rows: by name, by time."""
    items = [Item(path, "") for path in table["path"].to_pylist()]
    paths, exif_time = without_splits(paths_below(items)), table["exif_time"].to_pylist()
    orders = [sorted(range(len(paths)), key=lambda row: _natural(paths[row]))]
    if all(exif_time):
        folder = [path.rpartition("/")[0] for path in paths]
        orders.append(sorted(range(len(paths)), key=lambda row: (folder[row], exif_time[row])))
    return orders


def _natural(path: str) -> list[tuple[int, str]]:
    """Return a key that sorts numbers in names by value."""
    return [(int(one) if one.isdecimal() else -1, one) for one in re.split(r"(\d+)", path)]


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
        if deepest > 1:
            yield f"pattern:^[^/]*/(.*/){fields}"
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
