"""Do the figures rest on similar images, and do names, folders or columns tell the parts?

Axes: N images, D embedding width.
"""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sihwa.dataset import Manifest, group_candidates, image_orders
from sihwa.evaluation.dependence import Dependence, measure_dependence, nearest_neighbours
from sihwa.evaluation.group_proposal import Proposal, propose_groups
from sihwa.evaluation.grouped import group_index

_EXAMPLES = 6
_LEAST_REST = 50
"""Images without a group that are judged by themselves; with fewer, all images are judged."""


@dataclass(frozen=True)
class KnownGroups:
    """What is known of the parts before the check."""

    named: int = 0
    """Images that have a group."""
    images: int = 0
    """Images of the data set."""
    by_similarity: bool = False
    """Whether the groups are those of `dataset.group=similar`, which may divide a part."""

    @property
    def are_partial(self) -> bool:
        """Whether images of one part may be in several groups although groups are given."""
        return self.by_similarity or 0 < self.named < self.images


@dataclass(frozen=True)
class Similarity:
    """What the check found."""

    dependence: Dependence | None
    """The figures without similar images; None for too few images."""
    proposal: Proposal | None
    """The best setting of `dataset.group`; None if none was found, or if groups are known."""
    by_group: Dependence | None
    """The figures without the images of the same proposed group; None without a proposal."""
    examples: tuple[tuple[int, ...], ...] = ()
    """Rows of some proposed groups, to look at."""
    known: KnownGroups = KnownGroups()
    cut: int = 0
    """Proposed groups that given splits divide."""

    @property
    def warns(self) -> bool:
        """Whether the figures of this run may not hold for other parts."""
        return self.proposal is not None or (self.dependence is not None and self.dependence.falls)

    def as_dict(self) -> dict[str, Any]:
        """Return the content of `similarity` in metrics.json."""
        found = {
            "dependence": self.dependence,
            "proposal": self.proposal,
            "by_group": self.by_group,
            "known": self.known,
        }
        return {name: one and asdict(one) for name, one in found.items()} | {"cut": self.cut}


def check_similarity(embedding: NDArray[np.floating], manifest: Manifest, seed: int) -> Similarity:
    """Check a data set by the embeddings of its images, (N, D), of a backbone not trained on it.

    Where only some images have a group, the others are judged. Groups by similarity may divide a
    part, so names are judged as if there were none.
    """
    known = known_groups(manifest)
    is_open = _is_open(manifest, known)
    among = is_open if is_open.sum() >= _LEAST_REST else None
    accept = np.isin(manifest.classes, manifest.accept_classes)

    def measure(group: NDArray[np.integer]) -> Dependence | None:
        return measure_dependence(
            embedding, manifest.label_index, accept, group, seed=seed, among=among
        )

    dependence = measure(group_index(manifest.component))
    rows = np.flatnonzero(is_open)
    if dependence is None or len(rows) < 2:
        return Similarity(dependence, None, None, known=known)
    proposal, proposed = _propose(embedding[rows], manifest.take(rows.tolist()), known, seed)
    if proposal is None:
        return Similarity(dependence, None, None, known=known)
    named: list[str | None] = list(manifest.component)
    for row, name in zip(rows.tolist(), proposed, strict=True):
        named[row] = name or named[row]
    group = group_index(named)
    several = np.flatnonzero(np.bincount(group_index(proposed)) > 1)[:_EXAMPLES]
    examples = tuple(tuple(rows[group_index(proposed) == one].tolist()) for one in several)
    cut = _count_cut(group, manifest) if manifest.given_splits else 0
    return Similarity(dependence, proposal, measure(group), examples, known, cut)


def _count_cut(group: NDArray[np.integer], manifest: Manifest) -> int:
    """Return how many groups have images in several splits."""
    pairs = set(zip(group.tolist(), manifest.split.tolist(), strict=True))
    return sum(count > 1 for count in Counter(name for name, _ in pairs).values())


def known_groups(manifest: Manifest) -> KnownGroups:
    """Return how many images have a group, and whether similarity gave it."""
    group, similar = (manifest.table[name].to_pylist() for name in ("group", "similar"))
    named = sum(bool(one) for one in group)
    return KnownGroups(named, len(group), by_similarity=named > 0 and group == similar)


def _is_open(manifest: Manifest, known: KnownGroups) -> NDArray[np.bool_]:
    """Tell of which images the part is not known, (N,)."""
    if known.by_similarity:
        return np.full(known.images, True)
    return np.array([not one for one in manifest.table["group"].to_pylist()])


def _propose(
    embedding: NDArray[np.floating], manifest: Manifest, known: KnownGroups, seed: int
) -> tuple[Proposal | None, list[str | None]]:
    """Return the best setting for these images, and the group that it gives to each of them."""
    candidates = group_candidates(manifest.table)
    orders = image_orders(manifest.table)
    nearest = nearest_neighbours(embedding, 1)[0][:, 0]
    # names tell whole parts, similarity only the images of a part that match
    alike = {"similar": candidates.pop("similar")}
    for one in (candidates, {} if known.by_similarity else alike):
        proposal = propose_groups(one, orders, manifest.label_index, nearest, seed=seed)
        if proposal is not None:
            return proposal, one[proposal.setting]
    return None, []
