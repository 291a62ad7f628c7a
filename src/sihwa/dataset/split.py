"""Train, calibration and test: stratified by class, never through a group or a duplicate.

Axes: N images, C independent components, K classes, S splits.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sihwa.dataset.config import SplitConfig
from sihwa.dataset.item import Item
from sihwa.errors import InvalidLabels, TooFewImages

SPLITS = ("train", "calibration", "test")

_LEAST = {"train": 2, "calibration": 1, "test": 1}
"""Independent images of each class that a split needs; training is cross-validated, so two."""


def assign_splits(
    items: Sequence[Item], sha256: Sequence[str], shares: SplitConfig, seed: int
) -> list[str]:
    """Return the split of each image.

    Images of one group, and byte-identical images, stay together. Splits that the source
    gives are kept; calibration or test, where it does not give them, are taken out of its train.
    Each class is divided by the shares to within one image as long as nothing ties images
    together, and as nearly as the groups allow where something does. Neither the order nor the
    location of the images matters, only their content, groups, labels and the seed.

    Args:
        items: The images, N of them.
        sha256: Hex digest of each image's bytes, (N,).
        shares: Of calibration and test; the rest is train.
        seed: Picks one of the possible divisions.

    Raises:
        InvalidLabels: Byte-identical images with two labels, or a group or byte-identical
            images in two given splits, or given splits without train.
        TooFewImages: A class has too few independent images.
    """
    component = find_components([item.group for item in items], sha256)
    _require_one_label(items, sha256)
    _require_one_given_split(items, component)
    given = {item.split for item in items}
    wanted: tuple[str, ...] = SPLITS
    if given == {None}:
        pool = list(range(len(items)))
    elif "train" not in given:
        raise InvalidLabels("expected images in the split train, got none there")
    else:
        pool = [row for row, item in enumerate(items) if item.split == "train"]
        wanted = ("train", *(name for name in SPLITS if name not in given))
    split = [item.split or "" for item in items]
    label = [items[row].label for row in pool]
    divided = _divide(label, [component[row] for row in pool], wanted, shares, seed)
    for row, name in zip(pool, divided, strict=True):
        split[row] = name
    _require_enough([item.label for item in items], split, component)
    return split


def find_components(group: Sequence[str | None], sha256: Sequence[str]) -> list[str]:
    """Return for each image the name of all that must stay with it: the least sha256 of them.

    Two images belong together when they share a group or their bytes, directly or over others.

    >>> find_components(["left", None, "left", None], ["d", "c", "b", "d"])
    ['b', 'c', 'b', 'b']
    """
    nodes: dict[tuple[str, str], int] = {}
    pairs = [
        (row, nodes.setdefault(key, len(sha256) + len(nodes)))
        for row, (one_group, content) in enumerate(zip(group, sha256, strict=True))
        for key in ((("group", one_group),) if one_group else ()) + (("content", content),)
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
    """Return the rows that remain when training keeps at most `limit` images of each class.

    Which, depends on their content and the seed alone; a smaller limit keeps some of the same.

    >>> thin_training(["a", "a", "b", "a"], ["train", "train", "train", "test"], "wxyz", 1, seed=0)
    [0, 2, 3]
    """
    kept = {row for row, name in enumerate(split) if name != "train"}
    for kind in set(label):
        rows = [row for row, name in enumerate(label) if name == kind and row not in kept]
        kept.update(sorted(rows, key=lambda row: _shuffled(sha256[row], seed))[:limit])
    return sorted(kept)


def _divide(
    label: Sequence[str],
    component: Sequence[str],
    wanted: Sequence[str],
    shares: SplitConfig,
    seed: int,
) -> list[str]:
    """Give each component, the largest first, to the split that lacks most of its images."""
    classes = sorted(set(label))
    names = sorted(set(component), key=lambda name: _shuffled(name, seed))
    place = {name: index for index, name in enumerate(names)}
    count = np.zeros((len(names), len(classes)), dtype=np.int64)
    np.add.at(count, ([place[name] for name in component], [classes.index(x) for x in label]), 1)
    deficit = np.stack([_targets(n, wanted, shares) for n in count.sum(0).tolist()], axis=1)
    needed = np.array([[_LEAST[name]] * len(classes) for name in wanted])
    left = (count > 0).sum(0)
    chosen: dict[str, str] = {}
    for index in np.argsort(-count.sum(1), kind="stable").tolist():
        own = count[index]
        allowed = _allowed(needed, left, own > 0)
        gain = np.where(allowed, (deficit * own).sum(1), np.iinfo(np.int64).min)
        best = int(gain.argmax())
        chosen[names[index]] = wanted[best]
        deficit[best] -= own
        needed[best] -= own > 0
        left -= own > 0
    return [chosen[name] for name in component]


def _allowed(
    needed: NDArray[np.int64], left: NDArray[np.int64], present: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return the splits that a component may go to, (S,).

    A class with no more components left than its splits still need gives the next to one of these.
    """
    missing = np.maximum(needed, 0)
    urgent = present & (left <= missing.sum(0))
    fitting = np.all(missing[:, urgent] > 0, axis=1)
    return fitting if fitting.any() else np.ones(len(needed), dtype=np.bool_)


def _shuffled(name: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()


def _targets(total: int, wanted: Sequence[str], shares: SplitConfig) -> NDArray[np.int64]:
    """Return how many of a class's images each split should get, (S,): largest remainders."""
    share = {"calibration": shares.calibration, "test": shares.test}
    share["train"] = 1 - sum(share.values())
    exact = total * np.array([share[name] for name in wanted])
    exact /= sum(share[name] for name in wanted)
    target = np.floor(exact + 1e-9).astype(np.int64)
    for index in np.argsort(target - exact, kind="stable")[: total - target.sum()]:
        target[index] += 1
    return target


def _require_one_label(items: Sequence[Item], sha256: Sequence[str]) -> None:
    first: dict[str, Item] = {}
    for item, content in zip(items, sha256, strict=True):
        other = first.setdefault(content, item)
        if other.label != item.label:
            raise InvalidLabels(
                f"byte-identical images with two labels: {other.path} is {other.label!r}, "
                f"{item.path} is {item.label!r}; correct one of them or take both out"
            )


def _require_one_given_split(items: Sequence[Item], component: Sequence[str]) -> None:
    first: dict[str, Item] = {}
    for item, name in zip(items, component, strict=True):
        other = first.setdefault(name, item)
        if other.split != item.split:
            raise InvalidLabels(
                f"{other.path} (split {other.split}) and {item.path} (split {item.split}) are "
                "byte-identical or of one group, so figures on test would not be true; put them "
                "into one split"
            )


def _require_enough(label: Sequence[str], split: Sequence[str], component: Sequence[str]) -> None:
    found = {
        (name, part): len({c for c, x, s in zip(component, label, split, strict=True)
                           if x == name and s == part})
        for name in sorted(set(label))
        for part in SPLITS
    }  # fmt: skip
    for (name, part), count in found.items():
        if count < _LEAST[part]:
            total = sum(found[name, other] for other in SPLITS)
            raise TooFewImages(
                f"class {name!r}: expected at least {_LEAST[part]} independent image(s) in "
                f"{part}, got {count} ({total} in all: byte-identical images and those of one "
                "group count once); add images of it, or leave the class out"
            )


def assign_folds(
    label: Sequence[str], component: Sequence[str], folds: int, shares: SplitConfig, seed: int
) -> list[list[str]]:
    """Return the split of each image in each fold; every image is in test exactly once.

    Args:
        label: Class of each image, (N,).
        component: What each must not be separated from, (N,).
        folds: How many, at least 2.
        shares: Of calibration among all images; its share of test is not used.
        seed: Picks one of the possible divisions.

    Raises:
        TooFewImages: A class has fewer independent images than a fold needs.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    pairs = set(zip(label, component, strict=True))
    fewest = min(sum(name == kind for kind, _ in pairs) for name in set(label))
    least = max(folds, _LEAST["train"] + _LEAST["calibration"] + _LEAST["test"])
    if fewest < least:
        raise TooFewImages(
            f"evaluation.folds={folds}: expected at least {least} independent images of every "
            f"class, got {fewest}; add images, or use fewer folds"
        )
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    result = []
    for _, test in splitter.split(label, label, component):
        split = ["test"] * len(label)
        rest = sorted(set(range(len(label))) - set(test.tolist()))
        names, parts = ([one[row] for row in rest] for one in (label, component))
        divided = _divide(names, parts, ("train", "calibration"), shares, seed)
        for row, name in zip(rest, divided, strict=True):
            split[row] = name
        _require_enough(label, split, component)
        result.append(split)
    return result
