"""Do the figures rest on similar images, and do names, folders or columns tell the parts?

Axes: N images, D embedding width.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sihwa.dataset import Manifest, group_candidates
from sihwa.evaluation.dependence import Dependence, measure_dependence, nearest_neighbours
from sihwa.evaluation.group_proposal import Proposal, propose_groups
from sihwa.evaluation.grouped import group_index

_EXAMPLES = 6


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
        }
        return {name: one and asdict(one) for name, one in found.items()}


def check_similarity(embedding: NDArray[np.floating], manifest: Manifest, seed: int) -> Similarity:
    """Check a data set by the embeddings of its images, (N, D), of a backbone not trained on it."""
    label = manifest.label_index
    accept = np.isin(manifest.classes, manifest.accept_classes)
    known = group_index(manifest.component)
    dependence = measure_dependence(embedding, label, accept, known, seed=seed)
    if any(manifest.table["group"].to_pylist()) or dependence is None:
        return Similarity(dependence, None, None)
    candidates = group_candidates(manifest.table)
    paths = manifest.table["path"].to_pylist()
    nearest = nearest_neighbours(embedding, 1)[0][:, 0]
    # names tell whole parts, similarity only the images of a part that match
    named = {setting: group for setting, group in candidates.items() if setting != "similar"}
    alike = {"similar": candidates["similar"]}
    proposal = propose_groups(named, paths, label, nearest, seed=seed) or propose_groups(
        alike, paths, label, nearest, seed=seed
    )
    if proposal is None:
        return Similarity(dependence, None, None)
    group = group_index(candidates[proposal.setting])
    by_group = measure_dependence(embedding, label, accept, group, seed=seed)
    several = np.flatnonzero(np.bincount(group) > 1)[:_EXAMPLES]
    examples = tuple(tuple(np.flatnonzero(group == one).tolist()) for one in several)
    return Similarity(dependence, proposal, by_group, examples)
