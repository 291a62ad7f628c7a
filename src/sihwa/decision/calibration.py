"""The calibration images as thresholds are made from them, and what they prove.

Axes: n calibration images, K classes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sihwa.decision.policy import Array, defect_probability
from sihwa.evaluation import group_index


@dataclass(frozen=True)
class Claim:
    """A rate that the calibration images prove."""

    rate: str
    """`escapes`, `overkill` or `errors`; `escapes of NAME` for a single class."""
    bound: float
    """At most this much, in (0, 1]."""
    confidence: float
    """With this confidence, in (0, 1)."""
    occurrences: int
    """So many of the calibration images were hit."""
    images: int
    """Of so many."""
    per: str = "image"
    """What both count: `image`, or `part`, of which each image must be accepted."""

    def sentence(self) -> str:
        """Return what is proven, as a sentence; the bound is rounded up."""
        share = math.ceil(self.bound * 1e4 - 1e-6) / 100
        return (
            f"proven: {self.rate} at most {share:.2f} % at {self.confidence:.0%} confidence "
            f"({self.occurrences} of {self.images} calibration {self.per}s)"
        )


@dataclass(frozen=True, eq=False)
class Calibration:
    """The calibration images, as thresholds are made from them."""

    classes: tuple[str, ...]
    accept_classes: tuple[str, ...]
    probability: Array
    """Calibrated, (n, K)."""
    unknown: Array
    """Unknown score, (n,)."""
    label: NDArray[np.integer]
    """True class, (n,)."""
    group: Sequence[str | None]
    """What links images that are no independent evidence, (n,)."""

    @property
    def is_defect(self) -> NDArray[np.bool_]:
        """Whether the true class is none of the accept classes, (n,)."""
        return np.asarray(~np.isin(self.classes, self.accept_classes)[self.label])

    def per_part(self) -> "Calibration":
        """Return one row per group: a part, of which an escape takes that each image is accepted.

        So its image of greatest P(defect) decides, and it is defective if any image is.
        """
        score = defect_probability(self.probability, self.classes, self.accept_classes)
        number = group_index(self.group)
        last = np.r_[np.flatnonzero(np.diff(np.sort(number))), len(number) - 1]
        worst = np.lexsort((score, number))[last]
        label = self.label[np.lexsort((score, self.is_defect, number))[last]]
        return replace(
            self,
            probability=self.probability[worst],
            unknown=self.unknown[worst],
            label=label,
            group=[None] * len(worst),
        )

    def groups_of(self, rows: NDArray[np.integer]) -> NDArray[np.integer] | None:
        """Return the group of each row as a number; None if each is alone."""
        number = group_index([self.group[row] for row in rows.tolist()])
        return number if len(np.unique(number)) < len(number) else None
