"""Acquisition that gives the class away: does one cue alone predict it?

A camera, a folder or an image size that goes with the class lets a network read the class off
the cue instead of the part. Light, border, colour and noise may belong to the part itself, so these
are reported but never severe.

Axes: N images, K classes, F features of a cue, B bins, R rounds.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sihwa.audit.finding import Finding
from sihwa.audit.inventory import Inventory, commonest, listed
from sihwa.audit.out_of_fold import FOLDS, assign_fold
from sihwa.dataset.groups import paths_below
from sihwa.dataset.item import Item, read_split_name

_BINS = 8
_ROUNDS = 199
_MOST = 0.9
"""Of the images, if a folder is to name the class or the split, or to have one class."""
_SEVERAL = 3
"""Folders of each class that are parts or lots rather than the class itself."""


@dataclass(frozen=True)
class CueKind:
    """What a cue of one kind may mean."""

    reported: float
    """Gain over chance that is reported, as a share of the largest possible gain."""
    worse: float
    """Gain that makes it more severe."""
    severity: tuple[str, str]
    """Below and from `worse`."""
    advice: str


_SAME = "take all classes under the same conditions"
ACQUISITION = CueKind(
    0.15, 0.4, ("warning", "severe"), f"A network may learn it instead of the part: {_SAME}"
)
OF_PART = CueKind(0.4, 0.8, ("note", "warning"), f"It may belong to the defect; if not, {_SAME}")
FOLDER_OF_CLASS = CueKind(
    0.15, 0.4, ("note", "note"), f"It may be the folder of the class itself; if not, {_SAME}"
)
FOLDER_OF_PART = CueKind(
    0.15, 0.4, ("note", "note"), "If each of these folders shows one part or lot, keep it together "
    f"with dataset.group=folder:N; if not, {_SAME}"
)  # fmt: skip


@dataclass(frozen=True)
class Cue:
    """Something an image has besides its part."""

    name: str
    code: NDArray[np.intp]
    """Value of each feature, in [0, B), (N, F)."""
    kind: CueKind = ACQUISITION


def find_shortcuts(inventory: Inventory, seed: int) -> Iterator[Finding]:
    """Yield a finding for each cue that predicts the class by itself.

    A cue is judged by the cross-validated balanced accuracy of a naive Bayes classifier of its
    values, images of one component never on both sides, and a test that permutes the components.

    Source: Ojala and Garriga 2010, "Permutation tests for studying classifier performance", JMLR
    11, test 1. Zech et al. 2018, PLoS Medicine 15(11), for how hospitals gave pneumonia away.
    """
    label = inventory.manifest.label_index
    kinds = len(inventory.manifest.classes)
    if len(np.unique(inventory.component)) < 2 * FOLDS:
        return
    fold = assign_fold(label, inventory.component, FOLDS, seed)
    rng = np.random.default_rng(seed)
    hits: dict[CueKind, list[_Hit]] = defaultdict(list)
    for cue in cues_of(inventory):
        accuracy = predict_by(cue.code, label, fold)
        gain = (accuracy - 1 / kinds) / (1 - 1 / kinds)
        if gain < cue.kind.reported:
            continue
        above = sum(
            predict_by(cue.code, permuted(label, inventory.component, rng), fold) >= accuracy
            for _ in range(_ROUNDS)
        )
        if (p_value := (1 + above) / (1 + _ROUNDS)) <= 0.01:
            hits[cue.kind].append(_Hit(accuracy, gain, p_value, cue.name))
    for kind, found in hits.items():
        # light, colour, border and noise go together, so they are one finding
        sets = [sorted(found, reverse=True)] if kind is OF_PART else [[one] for one in found]
        yield from (_finding(kind, one, kinds) for one in sets)


class _Hit(NamedTuple):
    """A cue that predicts the class."""

    accuracy: float
    gain: float
    p_value: float
    name: str


def _finding(kind: CueKind, hits: Sequence[_Hit], kinds: int) -> Finding:
    best, *others = hits
    more = listed([f"{one.name} ({100 * one.accuracy:.1f} %)" for one in others])
    return Finding(
        kind="a cue gives the class away",
        severity=kind.severity[best.gain >= kind.worse],
        message=f"the {best.name} alone predicts the class with a balanced accuracy of "
        f"{100 * best.accuracy:.1f} %, chance is {100 / kinds:.1f} % (p = {best.p_value:.3f})"
        f"{f'; so does each of: {more}' if others else ''}",
        advice=kind.advice,
        figure=best.accuracy,
    )


def cues_of(inventory: Inventory) -> Iterator[Cue]:
    """Yield the cues that differ between images."""
    facts = inventory.facts
    named: dict[str, Sequence[object]] = {
        "image size": [(one.width, one.height) for one in facts],
        "file type": [(one.format, one.mode, one.bits) for one in facts],
        "camera (EXIF)": [one.camera for one in facts],
    }
    for name, values in named.items():
        code = np.unique([str(one) for one in values], return_inverse=True)[1]
        if code.max() > 0:
            yield Cue(name, code[:, None])
    yield from _folders(inventory)
    mean = np.array([one.mean for one in facts])
    grey = mean.mean(axis=1, keepdims=True)
    # the border relative to the whole: a frame or a shadow, not the light
    measured = {
        "brightness": grey,
        "colour": mean - grey,
        "border": np.array([[one.border] for one in facts]) - grey,
        "noise level": np.array([[one.noise] for one in facts]),
    }
    for name, values in measured.items():
        code = _binned(values)
        if code.max() > 0:
            yield Cue(name, code, OF_PART)


def _folders(inventory: Inventory) -> Iterator[Cue]:
    """Yield the folders at each level above the image but those that name the class or a split."""
    items = [Item(path, "") for path in inventory.path]
    folders = [path.split("/")[-2::-1] for path in paths_below(items)]
    levels = list(zip(*folders, strict=False))  # those that all images have
    names_class = [_share_naming(names, inventory.label) >= _MOST for names in levels]
    for level, names in enumerate(levels, start=1):
        names_split = sum(read_split_name(name) is not None for name in names)
        # a folder with hardly more than one image says nothing about others
        if names_class[level - 1] or names_split >= _MOST * len(names):
            continue
        if 2 * len(set(names)) < len(names) and len(set(names)) > 1:
            kind = _folder_kind(names, inventory.label, is_class_named=any(names_class))
            code = np.unique(names, return_inverse=True)[1]
            yield Cue(
                f"folder name at folder:{level} (such as {commonest(names)[0]})",
                code[:, None],
                kind,
            )


def _share_naming(names: Sequence[str], label: Sequence[str]) -> float:
    """Return the share of images whose folder has the name of their class in its own."""
    pairs = zip(names, label, strict=True)
    return fmean(_plain(one) in _plain(name) for name, one in pairs)


def _folder_kind(names: Sequence[str], label: Sequence[str], *, is_class_named: bool) -> CueKind:
    """Tell what folders are that each have one class, where no other folder names it."""
    count = Counter(zip(names, label, strict=True))
    main = {name: max((n, kind) for (one, kind), n in count.items() if one == name)
            for name in set(names)}  # fmt: skip
    folders = Counter(kind for _, kind in main.values())
    if sum(n for n, _ in main.values()) < _MOST * len(names) or folders.keys() != set(label):
        return ACQUISITION
    if not is_class_named and set(folders.values()) == {1}:
        return FOLDER_OF_CLASS
    return FOLDER_OF_PART if min(folders.values()) >= _SEVERAL else ACQUISITION


def _plain(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))


def _binned(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the quantile bin of each value among its column, (N, F) to (N, F)."""
    edges = np.quantile(values, np.arange(1, _BINS) / _BINS, axis=0)
    columns = [
        np.searchsorted(np.unique(edges[:, place]), values[:, place], side="right")
        for place in range(values.shape[1])
    ]
    return np.stack(columns, axis=1).astype(np.intp)


def predict_by(
    code: NDArray[np.intp], label: NDArray[np.integer], fold: NDArray[np.integer]
) -> float:
    """Return the cross-validated balanced accuracy of naive Bayes with uniform classes.

    Args:
        code: Value of each feature, (N, F), from 0.
        label: Class of each image, (N,), from 0.
        fold: Fold of each image, (N,), from 0.

    Returns:
        Mean recall over the classes, in [0, 1]; with ties the share that guessing would get.

    >>> code, label = np.array([[0], [0], [1], [1]]), np.array([0, 0, 1, 1])
    >>> predict_by(code, label, np.array([0, 1, 0, 1]))
    1.0
    """
    folds, kinds = fold.max() + 1, label.max() + 1
    score = np.zeros((len(label), kinds))
    for feature in code.T:
        bins = feature.max() + 1
        cell = (fold * bins + feature) * kinds + label
        count = np.bincount(cell, minlength=folds * bins * kinds).reshape(folds, bins, kinds)
        rest = count.sum(axis=0) - count  # (F, B, K): what the other folds hold
        total = np.maximum(rest.sum(axis=1, keepdims=True), 1)
        # a value that the other folds lack must not favour the class that they have fewer of
        score += np.log(rest / total + 1 / total.mean())[fold, feature]
    best = score >= score.max(axis=1, keepdims=True) - 1e-12
    right = best[np.arange(len(label)), label] / best.sum(axis=1)
    count = np.bincount(label, minlength=kinds)
    recall = np.bincount(label, weights=right, minlength=kinds)[count > 0] / count[count > 0]
    return float(recall.mean())


def permuted(
    label: NDArray[np.integer], component: NDArray[np.integer], rng: np.random.Generator
) -> NDArray[np.integer]:
    """Return labels with the components permuted: each gets the class of another's first image."""
    names, first, index = np.unique(component, return_index=True, return_inverse=True)
    if len(names) == len(label):
        return np.asarray(rng.permutation(label))
    return np.asarray(rng.permutation(label[first])[index])
