"""Given splits: groups that are cut, and splits that differ from each other.

Axes: N images, K classes, F features, R rounds.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from sihwa.audit.finding import Finding
from sihwa.audit.inventory import Inventory, listed
from sihwa.terminal.names import counted

_ROUNDS = 199
_LEAST_SHIFT = 0.25
_LARGE_SHIFT = 1.0
_DIRECTIONS = 16


def find_cut_groups(inventory: Inventory) -> Iterator[Finding]:
    """Yield the groups that have images in several splits."""
    rows = defaultdict(list)
    for row, group in enumerate(inventory.group):
        if group is not None:
            rows[group].append(row)
    split = inventory.manifest.split
    cut = {name: some for name, some in rows.items() if len({split[row] for row in some}) > 1}
    if cut:
        yield Finding(
            kind="groups in several splits",
            severity="severe",
            message=f"{counted(len(cut), 'group')} of {len(rows):,} with images in several splits "
            f"({listed(sorted(cut), most=3)}), so the test shows parts of training",
            advice="Put each group into one split, or draw new ones: dataset.split.given=ignore",
            figure=len(cut) / len(rows),
            images=inventory.mark_sets(list(cut.values()), keep=len(inventory)),
        )


def find_differing_splits(
    inventory: Inventory, feature: NDArray[np.float64], seed: int
) -> Iterator[Finding]:
    """Yield one finding of all in which train and test differ, class by class, beyond chance.

    Args:
        inventory: The images.
        feature: Embeddings of a backbone not trained on them, as of `principal_directions`, (N, D).
        seed: Seeds the permutations.
    """
    split = inventory.manifest.split
    if not {"train", "test"} <= set(split.tolist()):
        return
    facts = inventory.facts
    measured = {
        "image size": np.log([[one.width, one.height] for one in facts]),
        "brightness": inventory.fact(lambda one: one.grey)[:, None],
        "contrast": inventory.fact(lambda one: one.contrast)[:, None],
        "sharpness": np.log(inventory.fact(lambda one: one.sharpness)[:, None] + 1),
        "content (embedding)": feature[:, -_DIRECTIONS:],
    }
    rows = np.flatnonzero(np.isin(split, ("train", "test")))
    label, is_test = inventory.manifest.label_index[rows], split[rows] == "test"
    found = []
    for name, values in measured.items():
        shift, p_value = measure_shift(
            values[rows], label, is_test, inventory.component[rows], seed=seed
        )
        if p_value <= 0.01 and shift >= _LEAST_SHIFT:
            found.append((shift, p_value, name))
    if found:
        found.sort(reverse=True)
        largest = found[0][0]
        yield Finding(
            kind="splits differ",
            severity="severe" if largest >= _LARGE_SHIFT else "warning",
            message="train and test differ within the classes, in standard deviations: "
            f"{', '.join(f'{name} {shift:.2f}' for shift, _, name in found)} "
            f"(p = {max(p_value for _, p_value, _ in found):.3f})",
            advice="Figures of the test hold for its own kind of images: find out why, or "
            "draw new splits with dataset.split.given=ignore",
            figure=largest,
        )


def measure_shift(
    feature: NDArray[np.floating],
    label: NDArray[np.integer],
    is_test: NDArray[np.bool_],
    component: NDArray[np.integer],
    *,
    seed: int,
) -> tuple[float, float]:
    """Return how far the test is from train within the classes, and a p-value.

    The distance is that of the class means, beyond what the permuted splits show on average, in
    standard deviations within the classes. Components keep together.

    Args:
        feature: (N, F).
        label: Class of each image, (N,).
        is_test: Whether it is in test, (N,), else in train.
        component: Component of each image, (N,).
        seed: Seeds the permutations of the components within the class of their first image.

    Returns:
        Distance of at least 0, and p in (0, 1].

    Source: Anderson 2001, "A new method for non-parametric multivariate analysis of variance",
    Austral Ecology 26, with Euclidean distances and classes as strata.
    """
    kinds = int(label.max()) + 1
    size = np.bincount(label, minlength=kinds)
    total = np.stack([np.bincount(label, one, kinds) for one in feature.T], axis=1)
    within = feature - (total / np.maximum(size, 1)[:, None])[label]
    spread = within.std()
    if spread < 1e-9:
        return 0.0, 1.0
    within = within / spread
    total = np.stack([np.bincount(label, one, kinds) for one in within.T], axis=1)
    _, first, index = np.unique(component, return_index=True, return_inverse=True)
    chosen, kind = is_test[first], label[first]
    strata = [np.flatnonzero(kind == one) for one in range(kinds)]
    rng = np.random.default_rng(seed)

    def distance(test: NDArray[np.bool_]) -> float:
        count = np.bincount(label[test], minlength=kinds)
        there = np.stack([np.bincount(label[test], one, kinds) for one in within[test].T], axis=1)
        both = (count > 0) & (count < size)
        if not both.any():
            return 0.0
        here = there[both] / count[both, None]
        rest = (total - there)[both] / (size - count)[both, None]
        squared = ((here - rest) ** 2).sum(axis=1)
        return float(np.average(squared, weights=size[both]))

    found = distance(is_test)
    drawn = []
    for _ in range(_ROUNDS):
        other = chosen.copy()
        for places in strata:
            other[places] = rng.permutation(chosen[places])
        drawn.append(distance(other[index]))
    p_value = (1 + sum(one >= found - 1e-12 for one in drawn)) / (1 + _ROUNDS)
    return math.sqrt(max(0.0, found - fmean(drawn))), p_value
