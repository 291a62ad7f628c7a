"""Rates with intervals, of independent images or of images in groups.

Axes: N images.
"""

from dataclasses import dataclass
from functools import partial

from sihwa.evaluation.arrays import BoolArray, IntArray
from sihwa.evaluation.grouped import GROUPED, design_effect, grouped_interval, grouped_upper_bound
from sihwa.evaluation.intervals import EXACT, Figure, clopper_pearson, upper_bound


@dataclass(frozen=True)
class Rates:
    """Rates with intervals, over images or over groups."""

    group: IntArray | None
    """Number of each image's group, (N,)."""
    confidence: float

    def figure(self, hit: BoolArray, among: BoolArray, reason: str) -> Figure:
        """Return the share of hits among some images, or the reason why it is undefined."""
        occurrences, trials = int((hit & among).sum()), int(among.sum())
        figure = partial(Figure, confidence=self.confidence, count=trials, method=self.method)
        if trials == 0:
            return figure(value=None, low=None, high=None, reason=reason)
        if self.group is None:
            low, high = clopper_pearson(occurrences, trials, self.confidence)
        else:
            low, high = grouped_interval(hit[among], self.group[among], self.confidence)
        return figure(value=occurrences / trials, low=low, high=high, occurrences=occurrences)

    def bound(self, hit: BoolArray, among: BoolArray) -> float:
        """Return the one-sided upper bound of the rate; some image must be among them."""
        if self.group is None:
            return upper_bound(int((hit & among).sum()), int(among.sum()), self.confidence)
        return grouped_upper_bound(hit[among], self.group[among], self.confidence)

    def effect(self, hit: BoolArray, among: BoolArray) -> float:
        """Return how many images carry the evidence of one independent image."""
        if self.group is None or not among.any():
            return 1.0
        return design_effect(hit[among], self.group[among])

    @property
    def method(self) -> str:
        """How the intervals are computed."""
        return EXACT if self.group is None else GROUPED
