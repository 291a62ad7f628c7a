"""Train, calibration and test: stratified by class, groups and duplicates kept together.

Axes: N images, C independent components, K classes, S splits.
"""

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sihwa.dataset.config import SplitConfig
from sihwa.dataset.item import Item
from sihwa.errors import DatasetError

SPLITS = ("train", "calibration", "test")

_LEAST = {"train": 2, "calibration": 1, "test": 1}
"""Independent images of each class that a split needs; training is cross-validated, so 2."""


def assign_splits(
    items: Sequence[Item], sha256: Sequence[str], shares: SplitConfig, seed: int
) -> list[str]:
    """Return the split of each image.

    Images of one group, and byte-identical images, stay together. Splits given by the source
    are kept; a missing calibration or test split is taken out of its train split. Each class is
    split by the shares to within one image, or as nearly as groups and duplicates allow. The
    result depends on content, groups, labels and seed, not on the order or place of the images.

    Args:
        items: The images, N.
        sha256: Hex digest of each image's bytes, (N,).
        shares: Of calibration and test; the rest is train.
        seed: Picks one of the possible assignments.

    Raises:
        DatasetError: Byte-identical images with two labels, a group or byte-identical images
            in two given splits, no given train, or too few independent images of a class.
    """
    component = find_components([item.group for item in items], sha256)
    _require_one_label(items, sha256)
    _require_one_given_split(items, component)
    label = [item.label for item in items]
    given = {item.split for item in items}
    if given != {None} and "train" not in given:
        raise DatasetError("expected images in the split train, got none")
    split = [item.split or "train" for item in items]
    wanted = [name for name in SPLITS if name == "train" or name not in given]
    return _divide_train(split, wanted, label, component, shares, seed)


def find_components(group: Sequence[str | None], sha256: Sequence[str]) -> list[str]:
    """Return the component of each image: those linked by a group or by identical bytes.

    A component's name is the smallest sha256 in it.

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


def _divide_train(
    split: Sequence[str],
    wanted: Sequence[str],
    label: Sequence[str],
    component: Sequence[str],
    shares: SplitConfig,
    seed: int,
) -> list[str]:
    """Return the splits with `train` divided into those wanted.

    Each component, the largest first, goes to the split that lacks most of its images.
    """
    pool = [row for row, name in enumerate(split) if name == "train"]
    classes = sorted({label[row] for row in pool})
    names = sorted({component[row] for row in pool}, key=lambda name: _shuffled(name, seed))
    place = {name: index for index, name in enumerate(names)}
    count = np.zeros((len(names), len(classes)), dtype=np.int64)
    for row in pool:
        count[place[component[row]], classes.index(label[row])] += 1
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
    result = list(split)
    for row in pool:
        result[row] = chosen[component[row]]
    _require_enough(label, result, component)
    return result


def _allowed(
    needed: NDArray[np.int64], left: NDArray[np.int64], present: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return the splits that a component may go to, (S,).

    Once a class has only as many components left as splits still need, those splits get them.
    """
    missing = np.maximum(needed, 0)
    urgent = present & (left <= missing.sum(0))
    fitting = np.all(missing[:, urgent] > 0, axis=1)
    return fitting if fitting.any() else np.ones(len(needed), dtype=np.bool_)


def _shuffled(name: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()


def _targets(total: int, wanted: Sequence[str], shares: SplitConfig) -> NDArray[np.int64]:
    """Return how many of a class's images each split gets, (S,), by largest remainders."""
    share = {"calibration": shares.calibration, "test": shares.test}
    share["train"] = 1 - sum(share.values())
    exact = total * np.array([share[name] for name in wanted])
    exact /= sum(share[name] for name in wanted)
    target = np.floor(exact + 1e-9).astype(np.int64)
    for index in np.argsort(target - exact, kind="stable")[: total - target.sum()]:
        target[index] += 1
    return target


def _require_one_label(items: Sequence[Item], sha256: Sequence[str]) -> None:
    for one, other in _pairs(items, sha256):
        if one.label != other.label:
            raise DatasetError(
                f"byte-identical images with two labels: {one.path} is {one.label!r}, "
                f"{other.path} is {other.label!r}; correct one, or remove both"
            )


def _require_one_given_split(items: Sequence[Item], component: Sequence[str]) -> None:
    for one, other in _pairs(items, component):
        if one.split != other.split:
            raise DatasetError(
                f"{one.path} (split {one.split}) and {other.path} (split {other.split}) are "
                "byte-identical or of one group, so test figures would be too good; put them into "
                "one split"
            )


def _pairs(items: Sequence[Item], key: Sequence[str]) -> Iterator[tuple[Item, Item]]:
    """Yield the first item of each key beside every other one."""
    first: dict[str, Item] = {}
    for item, name in zip(items, key, strict=True):
        yield first.setdefault(name, item), item


def _require_enough(label: Sequence[str], split: Sequence[str], component: Sequence[str]) -> None:
    found = Counter((name, one) for name, one, _ in set(zip(label, split, component, strict=True)))
    for name, one in itertools.product(sorted(set(label)), SPLITS):
        if found[name, one] < _LEAST[one]:
            total = sum(found[name, other] for other in SPLITS)
            raise DatasetError(
                f"class {name!r}: expected at least {_LEAST[one]} independent image(s) in "
                f"{one}, got {found[name, one]} ({total} in all: byte-identical images and those "
                "of one group count once); add images of it, or remove the class"
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
    from sklearn.model_selection import StratifiedGroupKFold

    pairs = set(zip(label, component, strict=True))
    fewest = min(sum(name == kind for kind, _ in pairs) for name in set(label))
    least = max(folds, _LEAST["train"] + _LEAST["calibration"] + _LEAST["test"])
    if fewest < least:
        raise DatasetError(
            f"evaluation.folds={folds}: expected at least {least} independent images of every "
            f"class, got {fewest}; add images, or use fewer folds"
        )
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    wanted = ("train", "calibration")
    result = []
    for _, test in splitter.split(label, label, component):
        in_test = set(test.tolist())
        split = ["test" if row in in_test else "train" for row in range(len(label))]
        result.append(_divide_train(split, wanted, label, component, shares, seed))
    return result
