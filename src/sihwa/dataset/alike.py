"""Which images of a data set are near-identical or probably show one part, and what follows.

Near-identical images stay in one split, like byte-identical ones. Similar ones do so only if
`dataset.group=similar` asks for it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sihwa.dataset.item import Item
from sihwa.dataset.near_copies import (
    SIMILAR_SCORE,
    find_near_copies,
    near_copy_groups,
    similar_groups,
)
from sihwa.errors import DatasetError
from sihwa.terminal.names import counted

_LISTED, _NOTED = 20, 3


class Alike(NamedTuple):
    """The groups of a data set's images, each named by the smallest SHA-256 in it."""

    copy_of: list[str | None]
    """Group of near-identical images, N names; None for an image without a copy."""
    similar: list[str | None]
    """Group of images that probably show one part, likewise; it holds the copies, too."""


def find_alike(sha256: Sequence[str], thumbnail: Sequence[NDArray[np.uint8]]) -> Alike:
    """Compare all images by their thumbnails; the result does not depend on their order.

    Args:
        sha256: Of each image, N names.
        thumbnail: Of each image, N; see `near_copies.make_thumbnail`.
    """
    image_of = dict(zip(sha256, thumbnail, strict=True))
    content = sorted(image_of)
    images = np.stack([image_of[one] for one in content])
    found = find_near_copies(images, least=SIMILAR_SCORE)
    groups = (near_copy_groups(found, len(content)), similar_groups(found, len(content)))
    return Alike(*(_named(group, content, sha256) for group in groups))


def _named(
    group: NDArray[np.intp], content: Sequence[str], sha256: Sequence[str]
) -> list[str | None]:
    size = np.bincount(group, minlength=len(content))
    name = {
        one: content[first] if size[first] > 1 else None
        for one, first in zip(content, group.tolist(), strict=True)
    }
    return [name[one] for one in sha256]


def require_one_label(
    items: Sequence[Item], sha256: Sequence[str], copy_of: Sequence[str | None]
) -> None:
    """Refuse byte-identical images with two labels; the message lists near-identical ones, too."""
    same = _conflicts(items, sha256)
    if same:
        near = _near_conflicts(items, sha256, copy_of)
        more = f". Near-identical ones, too: {_listed(near)}" if near else ""
        raise DatasetError(
            f"byte-identical images with two labels: {_listed(same)}; correct or remove them{more}"
        )


def alike_notes(
    items: Sequence[Item], sha256: Sequence[str], copy_of: Sequence[str | None]
) -> tuple[str, ...]:
    """Return what a user should know of the near-identical images."""
    members: dict[str, list[Item]] = defaultdict(list)
    for item, name in zip(items, copy_of, strict=True):
        if name is not None:
            members[name].append(item)
    if not members:
        return ()
    one, other = next(iter(members.values()))[:2]
    notes = [
        f"{sum(map(len, members.values()))} images are near-identical to others, in "
        f"{counted(len(members), 'group')} kept in one split each, such as {one.path} and "
        f"{other.path}"
    ]
    if near := _near_conflicts(items, sha256, copy_of):
        notes.append(
            f"two labels, please check, in {counted(len(near), 'group')} of near-identical images: "
            f"{_listed(near, _NOTED)}"
        )
    apart = [
        f"{first.path} ({first.split}) and {second.path} ({second.split})"
        for group in members.values()
        for first, second in [_differing(group, [item.split for item in group])]
        if first is not second
    ]
    if apart:
        notes.append(
            "near-identical images lie in different given splits, so test figures are too good: "
            f"{_listed(apart, _NOTED)}"
        )
    return tuple(notes)


def without_divided(
    copy_of: Sequence[str | None], sha256: Sequence[str], known: Mapping[str, str]
) -> list[str | None]:
    """Return the groups but those that an earlier run had in several splits, {sha256: split}."""
    splits: dict[str | None, set[str]] = defaultdict(set)
    for name, content in zip(copy_of, sha256, strict=True):
        if content in known:
            splits[name].add(known[content])
    return [None if len(splits[name]) > 1 else name for name in copy_of]


def _near_conflicts(
    items: Sequence[Item], sha256: Sequence[str], copy_of: Sequence[str | None]
) -> list[str]:
    first = dict(zip(reversed(sha256), reversed(items), strict=True))
    name = dict(zip(sha256, copy_of, strict=True))
    return _conflicts(list(first.values()), [name[content] for content in first])


def _conflicts(items: Sequence[Item], group: Sequence[str | None]) -> list[str]:
    """Return two images of each group whose images have several labels, as text."""
    members: dict[str, list[Item]] = defaultdict(list)
    for item, name in zip(items, group, strict=True):
        if name is not None:
            members[name].append(item)
    pairs = [_differing(one, [item.label for item in one]) for one in members.values()]
    return sorted(
        f"{one.path} is {one.label!r}, {other.path} is {other.label!r}"
        for one, other in pairs
        if one is not other
    )


def _differing(items: Sequence[Item], value: Sequence[str | None]) -> tuple[Item, Item]:
    """Return the first item and the first one with another value, else the first one twice."""
    other = next((one for one, own in zip(items, value, strict=True) if own != value[0]), items[0])
    return items[0], other


def _listed(texts: Sequence[str], most: int = _LISTED) -> str:
    more = f"; and {len(texts) - most} more" if len(texts) > most else ""
    return "; ".join(texts[:most]) + more
