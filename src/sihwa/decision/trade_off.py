"""What each threshold of P(defect) gives and costs, on the calibration images.

Axes: n calibration images.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sihwa.decision.bounds import border_below, bound_of
from sihwa.decision.calibration import Calibration
from sihwa.decision.config import CostConfig
from sihwa.decision.policy import ACCEPT, REJECT, REVIEW, Policy, defect_probability
from sihwa.errors import ShapeError

_FIRST_STEPS = (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89)
_MOST = 12


@dataclass(frozen=True)
class TradeOff:
    """One threshold below which images are accepted."""

    accept_at_most: float
    """Greatest P(defect) of an accepted image."""
    escapes: int
    """Defective calibration images accepted, of `defects`."""
    defects: int
    escape_bound: float
    """Upper bound of the escape rate, one-sided."""
    accepted_good: float
    """Share of good calibration images accepted."""
    overkill: float
    """Share of good calibration images rejected."""
    review: float
    """Share of all calibration images that go to review."""


def trade_offs(images: Calibration, reject_at_least: float, confidence: float) -> list[TradeOff]:
    """Return thresholds that accept more and more defects, down to those that accept nearly all.

    Args:
        images: With at least one defective and one good image.
        reject_at_least: P(defect) from which images are rejected; where more is accepted than
            that, nothing goes to review.
        confidence: Of the bounds, in (0, 1).
    """
    score = defect_probability(images.probability, images.classes, images.accept_classes)
    defects = np.flatnonzero(images.is_defect)
    order = defects[np.argsort(score[defects], kind="stable")]
    steps = [step for step in _FIRST_STEPS if step < len(order) // 2 or step == 0]
    found = []
    for step in steps[:_MOST]:
        border = border_below(float(score[order[step]]), score)
        escaped = score[order] <= border
        bound = bound_of(escaped, images.groups_of(order), confidence)
        reject = max(border, reject_at_least)
        good = score[~images.is_defect]
        found.append(
            TradeOff(
                accept_at_most=border,
                escapes=bound.occurrences,
                defects=bound.images,
                escape_bound=bound.rate,
                accepted_good=float((good <= border).mean()),
                overkill=float((good >= reject).mean()),
                review=float(((score > border) & (score < reject)).mean()),
            )
        )
    return found


def cost_per_part(policy: Policy, images: Calibration, costs: CostConfig) -> float:
    """Return what a part costs on the line, with the rates of the calibration images.

    An accepted defective part costs `escape`, a rejected good one `overkill`, a reviewed one
    `review`; whoever reviews is taken to decide right.

    Args:
        policy: Any policy of these images.
        images: With at least one defective and one good image.
        costs: The three costs, and the share of defective parts on the line; without it, that of
            the images.

    Raises:
        ShapeError: There is no defective image, or no good one.
    """
    defective = images.is_defect
    if defective.all() or not defective.any():
        raise ShapeError("expected defective and good images, got one kind alone")
    decided = policy.decide(images.probability, images.unknown)
    outcome = np.array([decision.outcome for decision in decided])
    share = float(defective.mean()) if costs.prevalence is None else costs.prevalence
    of_defective = _mean_cost(outcome[defective], {ACCEPT: costs.escape, REVIEW: costs.review})
    of_good = _mean_cost(outcome[~defective], {REJECT: costs.overkill, REVIEW: costs.review})
    return share * of_defective + (1 - share) * of_good


def _mean_cost(outcome: NDArray[np.str_], costs: dict[str, float]) -> float:
    return float(sum((outcome == name).mean() * cost for name, cost in costs.items()))
