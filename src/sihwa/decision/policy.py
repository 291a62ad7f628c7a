"""The policy: from probabilities and unknown score to accept, reject or review.

Axes: N images, K classes.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sihwa.errors import ShapeError

Array = NDArray[np.floating]
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
    odds: Any = 0.0
    """Distance of the log-odds that the policy compares from the nearest threshold, at least 0."""


@dataclass(frozen=True)
class Policy(ABC):
    """How probabilities become decisions; a subclass per kind.

    An image unlike all training images goes to review whatever its probabilities are, and so does
    one for which the network gave NaN or inf.
    """

    classes: tuple[str, ...]
    """Class names in the order of the probabilities, K of them."""
    accept_classes: tuple[str, ...]
    """The classes of good parts; may be empty."""
    _: KW_ONLY
    unknown_threshold: float | None = None
    """Unknown score above which an image goes to review; None for never."""

    def decide(self, probability: Array, unknown: Array) -> list[Decision]:
        """Decide N images.

        Args:
            probability: Class probabilities, (N, K), each in [0, 1].
            unknown: How unlike the training images each is, (N,).

        Raises:
            ShapeError: Not one column per class and one score per image.
        """
        expected = (len(unknown), len(self.classes))
        if unknown.ndim != 1 or probability.shape != expected:
            raise ShapeError(
                f"probability must be {expected} for {len(self.classes)} classes and unknown "
                f"(N,), but got {probability.shape} and {unknown.shape}"
            )
        limit = np.inf if self.unknown_threshold is None else self.unknown_threshold
        images = zip(
            probability.argmax(1),
            self._odds_side(probability),
            unknown.astype(np.float64) > limit,
            is_finite(probability, unknown),
            strict=True,
        )
        return [
            self._decide_one(self.classes[top], side, is_unknown=bool(strange), finite=bool(ok))
            for top, side, strange, ok in images
        ]

    def _decide_one(self, top_class: str, side: int, *, is_unknown: bool, finite: bool) -> Decision:
        if not finite:
            return Decision(REVIEW, "the network gave NaN or inf")
        if is_unknown:
            return Decision(REVIEW, f"unlike the training images; nearest is {top_class}")
        return self._decide_known(top_class, side)

    def distances(self, probability: Array, unknown: Array) -> Margin:
        """Return the distance of N images from each border, (N,) each; arguments as in `decide`."""
        far = np.full(len(unknown), np.inf)
        odds, threshold = self._odds(probability), self.unknown_threshold
        return Margin(
            lead=_lead(probability, probability.argmax(1)),
            unknown=far if threshold is None else np.abs(unknown.astype(np.float64) - threshold),
            odds=np.min([far, *(np.abs(odds - border) for border in self._borders)], axis=0),
        )

    def is_close(self, probability: Array, unknown: Array, margin: Margin) -> NDArray[np.bool_]:
        """Return which of N decisions are within a margin of some border, (N,).

        NaN and inf count as close calls. Arguments as in `decide`.

        >>> policy = TopClassPolicy(("good", "scratch"), ("good",), unknown_threshold=3.0)
        >>> two, margin = np.array([[0.9, 0.1], [0.6, 0.4]]), Margin(lead=0.5, unknown=0.1, odds=0)
        >>> policy.is_close(two, np.array([1.0, 1.0]), margin).tolist()
        [False, True]
        """
        distance = self.distances(probability, unknown)
        far = np.logical_and.reduce(
            [own > most for own, most in zip(distance, margin, strict=True)]
        )
        close: NDArray[np.bool_] = ~(far & is_finite(probability, unknown))
        return close

    def overstated(
        self, probability: Array, unknown: Array, exact_probability: Array, exact_unknown: Array
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
        odds, exact_odds = self._odds(probability), self._odds(exact_probability)
        beyond = [np.sign(odds - border) * (odds - exact_odds) for border in self._borders]
        none = np.zeros(len(unknown))
        return Margin(np.maximum(lead, 0), np.maximum(further, 0), np.max([none, *beyond], axis=0))

    @property
    @abstractmethod
    def _borders(self) -> Sequence[float]:
        """The thresholds as log-odds."""

    @abstractmethod
    def _odds(self, probability: Array) -> Array:
        """Return the log-odds that are compared with the thresholds, (N,)."""

    @abstractmethod
    def _odds_side(self, probability: Array) -> NDArray[np.integer]:
        """Return on which side of the thresholds each image is, (N,)."""

    @abstractmethod
    def _decide_known(self, top_class: str, side: int) -> Decision:
        """Decide one image that is like the training images."""


@dataclass(frozen=True)
class TopClassPolicy(Policy):
    """Accept a part whose most probable class is an accept class, reject any other.

    The policy proves no bound on escapes: it is the plain classifier, for when no costs are stated.

    >>> policy = TopClassPolicy(("good", "scratch"), ("good",), unknown_threshold=3.0)
    >>> [d.outcome for d in policy.decide(np.array([[0.9, 0.1]] * 2), np.array([1.0, 5.0]))]
    ['accept', 'review']
    """

    least_probability: float | None = None
    """Probability of the top class below which an image goes to review; None for never."""

    @property
    def _borders(self) -> Sequence[float]:
        return [] if self.least_probability is None else [_log_odds(self.least_probability)]

    def _odds(self, probability: Array) -> Array:
        top = probability.max(1).astype(np.float64)
        return np.asarray(_log_ratio(top, 1 - top))

    def _odds_side(self, probability: Array) -> NDArray[np.integer]:
        top = probability.max(1).astype(np.float64)
        return np.asarray(top >= (self.least_probability or 0), np.intp)

    def _decide_known(self, top_class: str, side: int) -> Decision:
        if not side:
            return Decision(REVIEW, f"its probability is too low; top class is {top_class}")
        outcome = ACCEPT if top_class in self.accept_classes else REJECT
        return Decision(outcome, f"top class is {top_class}")


@dataclass(frozen=True)
class ThresholdPolicy(Policy):
    """Accept a part that is hardly a defect, reject one that hardly is not, review the rest.

    P(defect), the sum of the probabilities of all classes but the accept classes, is compared with
    two thresholds. There must be an accept class.

    >>> names = ("good", "dent", "scratch"), ("good",)
    >>> policy = ThresholdPolicy(*names, accept_at_most=0.1, reject_at_least=0.5)
    >>> two = np.array([[0.4, 0.3, 0.3], [0.8, 0.1, 0.1]])
    >>> [decision.outcome for decision in policy.decide(two, np.ones(2))]
    ['reject', 'review']
    """

    accept_at_most: float
    """Greatest P(defect) of a part that is accepted, in [0, 1)."""
    reject_at_least: float
    """Least P(defect) of a part that is rejected, above or equal to the other; equal parts are
    accepted."""

    @property
    def _borders(self) -> Sequence[float]:
        return [_log_odds(self.accept_at_most), _log_odds(self.reject_at_least)]

    def _odds(self, probability: Array) -> Array:
        defect = defect_probability(probability, self.classes, self.accept_classes)
        kept = [name for name in self.classes if name not in self.accept_classes]
        return np.asarray(_log_ratio(defect, defect_probability(probability, self.classes, kept)))

    def _odds_side(self, probability: Array) -> NDArray[np.integer]:
        defect = defect_probability(probability, self.classes, self.accept_classes)
        return np.where(
            defect <= self.accept_at_most, -1, np.where(defect >= self.reject_at_least, 1, 0)
        )

    def _decide_known(self, top_class: str, side: int) -> Decision:
        outcome, what = _SIDES[side]
        return Decision(outcome, f"P(defect) is {what}; top class is {top_class}")


_SIDES: dict[int, tuple[Outcome, str]] = {
    -1: (ACCEPT, "low"),
    0: (REVIEW, "between the thresholds"),
    1: (REJECT, "high"),
}


def defect_probability(
    probability: Array, classes: Sequence[str], accept_classes: Sequence[str]
) -> NDArray[np.float64]:
    """Return P(defect): the sum over all classes but the accept classes, (N,), of (N, K).

    Added in double precision in the order of the classes, so that every language gets the same.

    >>> defect_probability(np.array([[0.5, 0.25, 0.25]]), ("a", "good", "b"), ("good",)).tolist()
    [0.75]
    """
    total = np.zeros(len(probability))
    for place, name in enumerate(classes):
        if name not in accept_classes:
            total += probability[:, place]
    return total


def _log_odds(share: float) -> float:
    """Return the log-odds of a threshold in [0, 1]."""
    return float(_log_ratio(np.float64(share), np.float64(1 - share)))


def _log_ratio(one: Any, other: Any) -> Any:  # noqa: ANN401 -- a number or an array
    return np.log(np.maximum(one, _LEAST)) - np.log(np.maximum(other, _LEAST))


def _lead(probability: Array, leader: NDArray[np.integer]) -> Array:
    """Return the log-ratio of one class's probability to the greatest of the others, (N,)."""
    logarithm = np.log(np.maximum(probability.astype(np.float64), _LEAST))
    places = np.arange(len(leader))
    own = logarithm[places, leader]
    logarithm[places, leader] = -np.inf
    with np.errstate(invalid="ignore"):  # is_close treats NaN as a close call
        lead: Array = own - logarithm.max(1)
    return lead


def is_finite(probability: Array, unknown: Array) -> NDArray[np.bool_]:
    """Return for each image whether all its figures are finite, (N,); else it has no top class.

    >>> is_finite(np.array([[0.9, 0.1], [np.nan, 0.1]]), np.array([1.0, 1.0])).tolist()
    [True, False]
    """
    finite: NDArray[np.bool_] = np.isfinite(probability).all(1) & np.isfinite(unknown)
    return finite
