"""The policy: from probabilities and unknown score to accept, reject or review.

Axes: N images, K classes.
"""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sihwa.errors import ShapeError

Outcome = Literal["accept", "reject", "review"]
ACCEPT: Outcome = "accept"
REJECT: Outcome = "reject"
REVIEW: Outcome = "review"
_LEAST = 1e-30  # keeps logarithms finite; no decision border is near it


@dataclass(frozen=True)
class Decision:
    """What to do with a part, and a short reason."""

    outcome: Outcome
    reason: str


class Margin(NamedTuple):
    """Distances from the decision borders: of one image, of N images, or a bound on them.

    A decision farther than the bound from every border is a clear call; any other is a close call.
    """

    lead: Any
    """Natural logarithm of the ratio of the greatest probability to the next, at least 0."""
    unknown: Any
    """Distance of the unknown score from its threshold, at least 0."""


@dataclass(frozen=True)
class TopClassPolicy:
    """Accept a part whose most probable class is an accept class, reject any other.

    An image unlike all training images goes to review instead. The policy proves no bound on
    escapes: it is the plain classifier, for when no costs are stated.

    Attributes:
        classes: Class names in the order of the probabilities, K of them.
        accept_classes: The classes of good parts; may be empty.
        unknown_threshold: Unknown score above which an image goes to review; None for never.
    """

    classes: tuple[str, ...]
    accept_classes: tuple[str, ...]
    unknown_threshold: float | None = None

    def decide(
        self, probability: NDArray[np.floating], unknown: NDArray[np.floating]
    ) -> list[Decision]:
        """Decide N images.

        Args:
            probability: Class probabilities, (N, K), each in [0, 1].
            unknown: How unlike the training images each is, (N,).

        Raises:
            ShapeError: Not one column per class and one score per image.

        >>> policy = TopClassPolicy(("good", "scratch"), ("good",), unknown_threshold=3.0)
        >>> [d.outcome for d in policy.decide(np.array([[0.9, 0.1]] * 2), np.array([1.0, 5.0]))]
        ['accept', 'review']
        """
        expected = (len(unknown), len(self.classes))
        if unknown.ndim != 1 or probability.shape != expected:
            raise ShapeError(
                f"probability must be {expected} for {len(self.classes)} classes and unknown "
                f"(N,), but got {probability.shape} and {unknown.shape}"
            )
        tops = probability.argmax(1)
        finite = is_finite(probability, unknown)
        return [
            self._decide_one(self.classes[top], float(score), bool(ok))
            for top, score, ok in zip(tops, unknown, finite, strict=True)
        ]

    def distances(self, probability: NDArray[np.floating], unknown: NDArray[np.floating]) -> Margin:
        """Return the distance of N images from each border, (N,) each; arguments as in `decide`."""
        lead = _lead(probability, probability.argmax(1))
        if self.unknown_threshold is None:
            return Margin(lead, np.full(len(unknown), np.inf))
        return Margin(lead, np.abs(unknown.astype(np.float64) - self.unknown_threshold))

    def is_close(
        self, probability: NDArray[np.floating], unknown: NDArray[np.floating], margin: Margin
    ) -> NDArray[np.bool_]:
        """Return which of N decisions are within a margin of some border, (N,).

        NaN and inf count as close calls. Arguments as in `decide`.

        >>> policy = TopClassPolicy(("good", "scratch"), ("good",), unknown_threshold=3.0)
        >>> two = np.array([[0.9, 0.1], [0.6, 0.4]])
        >>> policy.is_close(two, np.array([1.0, 1.0]), Margin(lead=0.5, unknown=0.1)).tolist()
        [False, True]
        """
        distance = self.distances(probability, unknown)
        far = (distance.lead > margin.lead) & (distance.unknown > margin.unknown)
        close: NDArray[np.bool_] = ~(far & is_finite(probability, unknown))
        return close

    def overstated(
        self,
        probability: NDArray[np.floating],
        unknown: NDArray[np.floating],
        exact_probability: NDArray[np.floating],
        exact_unknown: NDArray[np.floating],
    ) -> Margin:
        """Return by how much inexact figures overstate the distance from each border, (N,) each.

        A decision flips only if a distance is overstated by at least its full amount. Arguments as
        in `decide`, first the inexact figures, then the exact ones.
        """
        top = probability.argmax(1)
        lead = _lead(probability, top) - _lead(exact_probability, top)
        further = np.zeros(len(unknown))
        if self.unknown_threshold is not None:
            side = np.where(unknown > self.unknown_threshold, 1, -1)
            further = side * (unknown.astype(np.float64) - exact_unknown)
        return Margin(np.maximum(lead, 0), np.maximum(further, 0))

    def _decide_one(self, top_class: str, unknown: float, finite: bool) -> Decision:
        if not finite:
            return Decision(REVIEW, "the network gave NaN or inf")
        if self.unknown_threshold is not None and unknown > self.unknown_threshold:
            return Decision(REVIEW, f"unlike the training images; nearest is {top_class}")
        outcome = ACCEPT if top_class in self.accept_classes else REJECT
        return Decision(outcome, f"top class is {top_class}")


def _lead(probability: NDArray[np.floating], leader: NDArray[np.integer]) -> NDArray[np.floating]:
    """Return the log-ratio of one class's probability to the greatest of the others, (N,)."""
    logarithm = np.log(np.maximum(probability.astype(np.float64), _LEAST))
    places = np.arange(len(leader))
    own = logarithm[places, leader]
    logarithm[places, leader] = -np.inf
    with np.errstate(invalid="ignore"):  # is_close treats NaN as a close call
        lead: NDArray[np.floating] = own - logarithm.max(1)
    return lead


def is_finite(
    probability: NDArray[np.floating], unknown: NDArray[np.floating]
) -> NDArray[np.bool_]:
    """Return for each image whether all its figures are finite, (N,); else it has no top class.

    >>> is_finite(np.array([[0.9, 0.1], [np.nan, 0.1]]), np.array([1.0, 1.0])).tolist()
    [True, False]
    """
    finite: NDArray[np.bool_] = np.isfinite(probability).all(1) & np.isfinite(unknown)
    return finite
