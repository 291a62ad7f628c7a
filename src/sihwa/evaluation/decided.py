"""Figures of decisions: what was accepted, rejected and sent to review.

Axes: N images, K classes.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sihwa.errors import ShapeError
from sihwa.evaluation.arrays import BoolArray, IntArray
from sihwa.evaluation.intervals import Figure
from sihwa.evaluation.rates import Rates

_OUTCOMES = ("accept", "reject", "review")


@dataclass(frozen=True)
class PartFigures:
    """Shares of parts: rejected if any image is, else reviewed if any image is, else accepted."""

    review: Figure
    """Share of parts sent to review."""
    escapes: Figure | None
    """Share of parts with a defect that are accepted; None without accept classes."""
    overkill: Figure | None
    """Share of good parts rejected; None without accept classes."""
    escape_bound: float | None
    """Upper bound of the true escape rate of parts, one-sided."""


@dataclass(frozen=True, eq=False)
class DecisionFigures:
    """Shares of decisions, each with its interval."""

    review: Figure
    """Share of images sent to review."""
    errors: Figure
    """Share of the decided images whose top class is wrong."""
    escapes: Figure | None
    """Share of defective images accepted; None without accept classes."""
    overkill: Figure | None
    """Share of good images rejected; None without accept classes."""
    escape_bound: float | None
    """Upper bound of the true escape rate, one-sided; None if escapes are undefined."""
    shares: tuple[tuple[Figure, Figure, Figure], ...]
    """Per true class: share accepted, rejected and reviewed."""
    parts: PartFigures | None = None
    """The same per part; None unless the groups are known to be parts."""

    def as_dict(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return plain JSON values, as in metrics.json."""
        named = {name: getattr(self, name) for name in ("escapes", "overkill", "review", "errors")}
        return {
            "figures": {name: asdict(figure) for name, figure in named.items() if figure},
            "escape_bound": self.escape_bound,
            "parts": asdict(self.parts) if self.parts else None,
            "per_class": [
                {"class": name, **{o: asdict(f) for o, f in zip(_OUTCOMES, share, strict=True)}}
                for name, share in zip(classes, self.shares, strict=True)
            ],
        }


def measure_decisions(
    outcome: Sequence[str],
    true: IntArray,
    is_good: BoolArray | None,
    predicted: IntArray,
    rates: Rates,
    class_count: int,
) -> DecisionFigures:
    """Measure decisions on images whose true class is known.

    Args:
        outcome: `accept`, `reject` or `review`, (N,).
        true: True class, (N,).
        is_good: Whether that is an accept class, (N,); None without accept classes.
        predicted: Top class, (N,).
        rates: How rates of these images get their intervals.
        class_count: K.

    Raises:
        ShapeError: There is not one outcome per image, or one is none of the three.
    """
    given = np.array(outcome)
    if given.shape != true.shape or not np.isin(given, _OUTCOMES).all():
        raise ShapeError(f"outcome must be {true.size} of {', '.join(_OUTCOMES)}")
    accepted, rejected, reviewed = (given == name for name in _OUTCOMES)
    escapes = overkill = None
    escape_bound = None
    if is_good is not None:
        escapes = rates.figure(accepted, ~is_good, "no image of a defect")
        overkill = rates.figure(rejected, is_good, "no image of a good part")
        escape_bound = rates.bound(accepted, ~is_good) if escapes.count else None
    return DecisionFigures(
        review=rates.figure(reviewed, np.ones_like(reviewed), "no image"),
        errors=rates.figure(predicted != true, ~reviewed, "no image was decided"),
        escapes=escapes,
        overkill=overkill,
        escape_bound=escape_bound,
        shares=tuple(
            (
                rates.figure(accepted, true == kind, "no image"),
                rates.figure(rejected, true == kind, "no image"),
                rates.figure(reviewed, true == kind, "no image"),
            )
            for kind in range(class_count)
        ),
    )


def measure_parts(
    outcome: Sequence[str], is_good: BoolArray | None, part: IntArray, confidence: float
) -> PartFigures:
    """Measure decisions on parts, each of one image or several.

    Parts are independent, so the intervals are exact.

    Args:
        outcome: Of each image, `accept`, `reject` or `review`, (N,).
        is_good: Whether the image shows no defect, (N,); None without accept classes.
        part: Number of each image's part, (N,).
        confidence: Of the intervals, in (0, 1).

    >>> found = measure_parts(["accept", "review"], np.array([True, False]), np.zeros(2, int), 0.95)
    >>> found.review.value, found.escapes.value, found.overkill.reason
    (1.0, 0.0, 'no good part')
    """
    given, rates = np.array(outcome), Rates(None, confidence)
    rejected = _any_of(given == "reject", part)
    reviewed = _any_of(given == "review", part) & ~rejected
    review = rates.figure(reviewed, np.ones_like(reviewed), "no part")
    if is_good is None:
        return PartFigures(review, None, None, None)
    defective = _any_of(~is_good, part)
    accepted = ~rejected & ~reviewed
    escapes = rates.figure(accepted, defective, "no part with a defect")
    return PartFigures(
        review=review,
        escapes=escapes,
        overkill=rates.figure(rejected, ~defective, "no good part"),
        escape_bound=rates.bound(accepted, defective) if escapes.count else None,
    )


def _any_of(hit: BoolArray, part: IntArray) -> BoolArray:
    """Return for each part whether any of its images is hit."""
    _, place = np.unique(part, return_inverse=True)
    return np.bincount(place, weights=hit) > 0
