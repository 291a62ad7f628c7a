"""Train, calibration and test: stratified by class, groups and copies kept together.

Splits are drawn from content. Each class puts its components in an order that a keyed hash of
their content gives, and cuts it by the shares. So an image that is added, removed or moved to
another class shifts the cuts by at most an image, and the rest keeps its split.

A component is all images that groups, equal or near-identical content link; it is never divided.
"""

import hashlib
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sihwa.dataset.config import SplitConfig
from sihwa.dataset.item import Item
from sihwa.errors import DatasetError

SPLITS = ("train", "calibration", "test")

_LISTED = 10
LEAST = {"train": 2, "calibration": 1, "test": 1}
"""Independent images of each class that a split needs; training is cross-validated, so 2."""


def assign_splits(
    items: Sequence[Item],
    component: Sequence[str],
    shares: SplitConfig,
    seed: int,
    *,
    earlier: Mapping[str, str] | None = None,
) -> list[str]:
    """Return the split of each image.

    Images of one component stay together. Splits given by the source are kept; a missing
    calibration or test split is taken out of its train split. Each class is split by the shares to
    within one component. The result depends on content, groups, labels and seed, not on the
    order or place of the images.

    Args:
        items: The images, N.
        component: Component of each image, (N,); see `find_components`.
        shares: Of calibration and test; the rest is train.
        seed: Picks one of the possible assignments.
        earlier: Split of components that keep the one of an earlier run.

    Raises:
        DatasetError: No given train, too few independent images of a class for training, or none
            at all for another split.
    """
    label = [item.label for item in items]
    given = {item.split for item in items}
    if given != {None} and "train" not in given:
        raise DatasetError("expected images in the split train, got none")
    split = [item.split or "train" for item in items]
    wanted = [name for name in SPLITS if name == "train" or name not in given]
    pool = [row for row, name in enumerate(split) if name == "train"]
    drawn = _draw(
        [label[row] for row in pool],
        [component[row] for row in pool],
        {name: share for name, share in _shares(shares).items() if name in wanted},
        seed,
        earlier or {},
    )
    for row, name in zip(pool, drawn, strict=True):
        split[row] = name
    _require_enough(label, split, component)
    return split


def absent_notes(label: Sequence[str], split: Sequence[str]) -> list[str]:
    """Return a note of the classes that have no calibration image or no test image."""
    there = set(zip(label, split, strict=True))
    lacking = {
        name: [kind for kind in sorted(set(label)) if (kind, name) not in there]
        for name in ("calibration", "test")
    }
    consequence = {
        "calibration": "their probabilities are calibrated by the other classes",
        "test": "their figures are left empty",
    }
    return [
        f"no {name} image of {', '.join(kinds)}: {consequence[name]}"
        for name, kinds in lacking.items()
        if kinds
    ]


def find_components(
    group: Sequence[str | None], sha256: Sequence[str], copy_of: Sequence[str | None] | None = None
) -> list[str]:
    """Return the component of each image: those linked by a group or by the same content.

    A component's name is the smallest sha256 in it.

    Args:
        group: Of each image, N names; None links to nothing.
        sha256: Of each image, N.
        copy_of: Near-identical images of each image, N names; None links to nothing.

    >>> find_components(["left", None, "left", None], ["d", "c", "b", "d"])
    ['b', 'c', 'b', 'b']
    """
    nodes: dict[tuple[int, str], int] = {}
    links = (group, sha256, copy_of or [None] * len(sha256))
    pairs = [
        (row, nodes.setdefault((kind, name), len(sha256) + len(nodes)))
        for row, names in enumerate(zip(*links, strict=True))
        for kind, name in enumerate(names)
        if name
    ]
    rows, keys = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
    size = len(sha256) + len(nodes)
    graph = coo_array((np.ones(len(pairs), dtype=np.int8), (rows, keys)), shape=(size, size))
    number = connected_components(graph, directed=False)[1][: len(sha256)].tolist()
    name: dict[int, str] = {}
    for component, content in zip(number, sha256, strict=True):
        name[component] = min(content, name.get(component, content))
    return [name[component] for component in number]


def thin_training(
    label: Sequence[str], split: Sequence[str], sha256: Sequence[str], limit: int, seed: int
) -> list[int]:
    """Return the rows to keep: all but train, and at most `limit` training images per class.

    The choice depends on content and seed alone; a smaller limit keeps a subset.

    >>> thin_training(["a", "a", "b", "a"], ["train", "train", "train", "test"], "wxyz", 1, seed=0)
    [0, 2, 3]
    """
    kept = {row for row, name in enumerate(split) if name != "train"}
    for kind in set(label):
        rows = [row for row, name in enumerate(label) if name == kind and row not in kept]
        kept.update(sorted(rows, key=lambda row: _shuffled(sha256[row], seed))[:limit])
    return sorted(kept)


def _shares(shares: SplitConfig) -> dict[str, float]:
    """Return the share of each split, in the order in which they are drawn."""
    drawn = {"test": shares.test, "calibration": shares.calibration}
    return drawn | {"train": 1 - sum(drawn.values())}


def _draw(
    label: Sequence[str],
    component: Sequence[str],
    shares: Mapping[str, float],
    key: int | str,
    fixed: Mapping[str, str],
) -> list[str]:
    """Return the split of each image, drawn class by class, the rarest first.

    Each split but the last takes the components whose middle lies within its share.

    Args:
        label: Class of each image.
        component: Component of each image.
        shares: Share of each split; they are scaled to a sum of 1.
        key: Of the hash that orders the components.
        fixed: Components with a split already; they count towards its share.
    """
    size: dict[str, Counter[str]] = defaultdict(Counter)
    members: dict[str, Counter[str]] = defaultdict(Counter)
    for kind, name in zip(label, component, strict=True):
        members[kind][name] += 1
        size[name][kind] += 1
    split = {name: fixed[name] for name in size if name in fixed}
    scale = sum(shares.values())
    for kind in sorted(members, key=lambda one: (len(members[one]), one)):
        count = members[kind]
        total = count.total() / scale
        large = min(shares.values()) * total
        # a component larger than the smallest share would overfill it, so those come last
        free = sorted(
            (name for name in count if name not in split),
            key=lambda name: (count[name] > large, _shuffled(name, key)),
        )
        there = Counter(split[name] for name in count if name in split)
        lacking = {name: max(0, LEAST.get(name, 1) - there[name]) for name in shares}
        rest = 0.0
        for name, share in shares.items():
            filled = sum(count[one] for one in count if split.get(one) == name)
            room = share * total - filled
            taken = _within([count[one] for one in free], room + rest)
            others = sum(lacking.values()) - lacking[name]
            if len(free) < others + lacking[name]:  # too few for all: training comes first
                others = 0 if name == "train" else lacking.get("train", others)
            taken = min(max(taken, lacking.pop(name)), max(len(free) - others, 0))
            if not lacking:
                taken = len(free)
            # what rounding left over counts for the next split, so that not all round up
            rest = max(0.0, room) + rest - sum(count[one] for one in free[:taken])
            split.update(dict.fromkeys(free[:taken], name))
            free = free[taken:]
    return [split[name] for name in component]


def _within(sizes: Sequence[int], room: float) -> int:
    """Return how many of the first components have their middle within the room."""
    middle = np.cumsum(sizes) - np.array(sizes) / 2
    return int((middle < room - 1e-9).sum())


def _shuffled(name: str, key: int | str) -> str:
    return hashlib.sha256(f"{key}:{name}".encode()).hexdigest()


def require_one_given_split(items: Sequence[Item], component: Sequence[str]) -> None:
    """Refuse images of one component in two splits that the source gives."""
    for one, other in _pairs(items, component):
        if one.split != other.split:
            raise DatasetError(
                f"{one.path} (split {one.split}) and {other.path} (split {other.split}) are "
                "byte-identical or of one group, so test figures would be too good; put them into "
                "one split, or draw new splits with dataset.split.given=ignore"
            )


def _pairs(items: Sequence[Item], key: Sequence[str]) -> Iterator[tuple[Item, Item]]:
    """Yield the first item of each key beside every other one."""
    first: dict[str, Item] = {}
    for item, name in zip(items, key, strict=True):
        yield first.setdefault(name, item), item


def _require_enough(
    label: Sequence[str],
    split: Sequence[str],
    component: Sequence[str],
    wanted: Sequence[str] = ("train",),
) -> None:
    """Refuse classes with too few independent images in the wanted splits, and empty splits."""
    found = Counter((name, one) for name, one, _ in set(zip(label, split, component, strict=True)))
    few = [
        f"class {name!r}: expected at least {LEAST[one]} independent image(s) in {one}, got "
        f"{found[name, one]}"
        for name, one in itertools.product(sorted(set(label)), wanted)
        if found[name, one] < LEAST[one]
    ]
    if few:
        listed = "; ".join(few[:_LISTED]) + f"; and {len(few) - _LISTED} more" * (
            len(few) > _LISTED
        )
        raise DatasetError(
            f"{listed} (byte-identical images and those of one group count once); add images, or "
            "leave a class out with dataset.leave_out=[NAME], or make it one with another: "
            "dataset.merge={NAME: [ONE, OTHER]}"
        )
    for name in SPLITS:
        if name not in split:
            raise DatasetError(
                f"no image is left for the split {name}; expected at least 4 independent images "
                f"of some class, got {max(Counter(one for one, _ in found).values())}"
            )


def assign_folds(
    label: Sequence[str], component: Sequence[str], folds: int, shares: SplitConfig, seed: int
) -> list[list[str]]:
    """Return the split of each image in each fold; every image is in test exactly once.

    Args:
        label: Class of each image, (N,).
        component: Component of each image, (N,); see `find_components`.
        folds: Number of folds, at least 2.
        shares: Share of calibration among all images; the share of test is not used.
        seed: Picks one of the possible assignments.

    Raises:
        DatasetError: A class has fewer independent images than a fold needs.
    """
    pairs = set(zip(label, component, strict=True))
    fewest = min(sum(name == kind for kind, _ in pairs) for name in set(label))
    least = max(folds, LEAST["train"] + LEAST["calibration"] + LEAST["test"])
    if fewest < least:
        raise DatasetError(
            f"evaluation.folds={folds}: expected at least {least} independent images of every "
            f"class, got {fewest}; add images, or use fewer folds"
        )
    names = {f"fold {number}": 1.0 for number in range(folds)}
    fold = _draw(label, component, names, seed, {})
    divided = _shares(shares)
    del divided["test"]
    result = []
    for name in names:
        split = ["test" if one == name else "train" for one in fold]
        pool = [row for row, one in enumerate(fold) if one != name]
        pooled = [label[row] for row in pool], [component[row] for row in pool]
        # a key per fold, else one part of the images would calibrate nearly every fold
        for row, one in zip(pool, _draw(*pooled, divided, f"{seed}:{name}", {}), strict=True):
            split[row] = one
        _require_enough(label, split, component, SPLITS)
        result.append(split)
    return result
