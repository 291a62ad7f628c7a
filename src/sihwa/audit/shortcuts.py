"""Acquisition that gives the class away: does one cue alone predict it?

A camera, a folder or an image size that goes with the class lets a network read the class off
the cue instead of the part. Light, border, colour and noise may belong to the part itself, so these
are reported but never severe.

Axes: N images, K classes, F features of a cue, B bins, R rounds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sihwa.audit.finding import Finding
from sihwa.audit.inventory import Inventory, commonest
from sihwa.audit.out_of_fold import FOLDS, assign_fold
from sihwa.dataset.groups import paths_below
from sihwa.dataset.item import Item

_BINS = 8
_ROUNDS = 199
_STRICT, _LOOSE = (0.15, 0.4), (0.4, 0.8)
"""Thresholds of the gain over chance, as a share of the largest possible gain. The first reports a
cue, the second makes it more severe. `_STRICT` is for cues of the acquisition, `_LOOSE` for cues
that may belong to the part."""


@dataclass(frozen=True)
class Cue:
    """Something an image has besides its part."""

    name: str
    code: NDArray[np.intp]
    """Value of each feature, in [0, B), (N, F)."""
    is_of_part: bool = False
    """Whether the part itself may cause it."""


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
    for cue in cues_of(inventory):
        accuracy = predict_by(cue.code, label, fold)
        gain = (accuracy - 1 / kinds) / (1 - 1 / kinds)
        reported, worse = _LOOSE if cue.is_of_part else _STRICT
        if gain < reported:
            continue
        above = sum(
            predict_by(cue.code, permuted(label, inventory.component, rng), fold) >= accuracy
            for _ in range(_ROUNDS)
        )
        if (p_value := (1 + above) / (1 + _ROUNDS)) > 0.01:
            continue
        levels = ("note", "warning") if cue.is_of_part else ("warning", "severe")
        yield Finding(
            kind="a cue gives the class away",
            severity=levels[gain >= worse],
            message=f"the {cue.name} alone predicts the class with a balanced accuracy of "
            f"{100 * accuracy:.1f} %, chance is {100 / kinds:.1f} % (p = {p_value:.3f})",
            advice="It may belong to the defect; if not, take all classes under the same conditions"
            if cue.is_of_part
            else "A network may learn it instead of the part: take all classes under the same "
            "conditions",
            figure=accuracy,
        )


def cues_of(inventory: Inventory) -> Iterator[Cue]:
    """Yield the cues that differ between images."""
    facts = inventory.facts
    named: dict[str, Sequence[object]] = {
        "image size": [(one.width, one.height) for one in facts],
        "file type": [(one.format, one.mode, one.bits) for one in facts],
        "camera (EXIF)": [one.camera for one in facts],
        **_folders(inventory),
    }
    for name, values in named.items():
        code = np.unique([str(one) for one in values], return_inverse=True)[1]
        if code.max() > 0:
            yield Cue(name, code[:, None])
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
            yield Cue(name, code, is_of_part=True)


def _folders(inventory: Inventory) -> dict[str, list[str]]:
    """Return the folder of each image at each level, without levels that name the class."""
    found = {}
    items = [Item(path, "") for path in inventory.path]
    folders = [path.split("/")[:-1] for path in paths_below(items)]
    for level in range(1, min(map(len, folders)) + 1):  # levels that all images have
        names = [parts[level - 1] for parts in folders]
        pairs = zip(names, inventory.label, strict=True)
        named = sum(_plain(label) in _plain(name) for name, label in pairs)
        # a folder with hardly more than one image says nothing about others
        if named < 0.9 * len(names) and 2 * len(set(names)) < len(names):
            example = commonest(names)[0]
            found[f"folder at level {level} (such as {example})"] = names
    return found


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
