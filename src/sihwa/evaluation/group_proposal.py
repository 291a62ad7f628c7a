"""Proposes `dataset.group`: the setting under which nearest neighbours belong together.

If several images show one part, the nearest neighbour of most images shows the same part. So
each setting that the names offer is judged by how many images have their nearest neighbour in
their own group, beyond what groups of these sizes would reach by chance. Successive images are
often alike without showing one part; so groups of successive images must also explain more than
the same groups moved along by half a group.

Axes: N images, R rounds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sihwa.evaluation.grouped import group_index

_ROUNDS = 200
_LEAST_EXPLAINED = 0.3
_LEAST_BEYOND_MOVED = 0.15
_TIED = 0.02
"""Settings this close to the best are judged alike, and the one with the most groups is taken."""


@dataclass(frozen=True)
class Proposal:
    """A setting of `dataset.group` and what speaks for it."""

    setting: str
    """As it can be pasted after `dataset.group=`."""
    groups: int
    """Groups of two or more images."""
    images: int
    """Images in these groups."""
    explained: float
    """Images whose nearest neighbour is in their group, beyond chance: 0 is chance, 1 is all."""
    p_value: float
    """Of a permutation test of the groups within each class, in (0, 1]."""


def propose_groups(
    candidates: Mapping[str, list[str | None]],
    orders: Sequence[Sequence[int]],
    label: NDArray[np.integer],
    nearest: NDArray[np.intp],
    *,
    seed: int,
) -> Proposal | None:
    """Return the best setting, or None if none explains who is whose nearest neighbour.

    Args:
        candidates: The group of each image for each setting, {setting: N groups}.
        orders: Rows in each order in which the images may have been captured, each (N,).
        label: Class of each image, (N,).
        nearest: Row of each image's nearest neighbour, (N,).
        seed: Seeds the permutations.
    """
    rng = np.random.default_rng(seed)
    judged: dict[bytes, Proposal] = {}
    for setting, group in candidates.items():
        index = group_index(group)
        if _is_useful(index, label):
            proposal = _judge(setting, index, label, nearest, rng)
            moved = [one for order in orders if (one := _moved(index, order)) is not None]
            if all(_gain(proposal, _judge(setting, one, label, nearest, rng)) for one in moved):
                judged.setdefault(index.tobytes(), proposal)
    good = [
        one for one in judged.values()
        if one.explained >= _LEAST_EXPLAINED and one.p_value <= 0.01
    ]  # fmt: skip
    if not good:
        return None
    best = max(one.explained for one in good)
    return max((one for one in good if one.explained >= best - _TIED), key=lambda one: one.groups)


def _is_useful(group: NDArray[np.intp], label: NDArray[np.integer]) -> bool:
    """Tell whether some group has two images and none joins a class into one or two groups."""
    pairs = np.unique(np.stack([label, group]), axis=1)
    groups, images = np.bincount(pairs[0]), np.bincount(label)
    joined = (groups <= 2) & (groups < images)
    return len(np.unique(group)) < len(group) and not joined.any()


def _gain(proposal: Proposal, moved: Proposal) -> bool:
    return proposal.explained - moved.explained >= _LEAST_BEYOND_MOVED


def _moved(group: NDArray[np.intp], order: Sequence[int]) -> NDArray[np.intp] | None:
    """Return the groups moved along by half a group; None if they are not successive images."""
    ordered = group[np.asarray(order)]
    if np.count_nonzero(np.diff(ordered)) + 1 != len(np.unique(group)):
        return None
    result = np.empty_like(group)
    result[np.asarray(order)] = np.roll(ordered, max(1, int(np.median(np.bincount(group))) // 2))
    return result


def _judge(
    setting: str,
    group: NDArray[np.intp],
    label: NDArray[np.integer],
    nearest: NDArray[np.intp],
    rng: np.random.Generator,
) -> Proposal:
    size = np.bincount(group)
    found = (group == group[nearest]).mean()
    classes = [np.flatnonzero(label == kind) for kind in np.unique(label)]
    chance = np.empty(_ROUNDS)
    for round_ in range(_ROUNDS):
        shuffled = group.copy()
        for rows in classes:
            shuffled[rows] = rng.permutation(group[rows])
        chance[round_] = (shuffled == shuffled[nearest]).mean()
    return Proposal(
        setting=setting,
        groups=int((size > 1).sum()),
        images=int(size[size > 1].sum()),
        explained=float((found - chance.mean()) / (1 - chance.mean())),
        p_value=float((1 + (chance >= found).sum()) / (1 + _ROUNDS)),
    )
