"""How far a threshold may go until a rate can no longer be proven.

Thresholds are tried from the strictest on, and each is tested by an exact bound on the calibration
images. The first that fails ends the search, so all that came before hold together at the stated
confidence, whatever the sample: fixed-sequence testing, as in Learn then Test. The images must be
exchangeable with those of the line, and must not have been used for training.

With groups, the bound is that of `cautious_upper_bound`: approximate, but it counts what is
independent.

Axes: n images, in the order in which a threshold reaches them.

Source: Angelopoulos, Bates, Candes, Jordan, Lei 2021, arXiv 2110.01052.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sihwa.evaluation import cautious_upper_bound, upper_bound

Group = NDArray[np.integer] | None
"""Number of each image's group, (n,); None if all images are independent."""


class Bound(NamedTuple):
    """What n images prove of a rate."""

    rate: float
    """Upper bound of the rate, in (0, 1]."""
    occurrences: int
    images: int


def bound_of(hit: NDArray[np.bool_], group: Group, confidence: float) -> Bound:
    """Return the one-sided upper bound of the share of images that are hit, (n,), n at least 1."""
    occurrences, count = int(hit.sum()), len(hit)
    if group is None:
        rate = upper_bound(occurrences, count, confidence)
    else:
        rate = cautious_upper_bound(hit, group, confidence)
    return Bound(rate, occurrences, count)


def least_provable(group: Group, count: int, confidence: float) -> float:
    """Return the lowest rate that so many images can prove: the bound without any occurrence."""
    if not count:
        return 1.0
    return bound_of(np.zeros(count, np.bool_), group, confidence).rate


def allowed_hits(group: Group, count: int, rate: float, confidence: float) -> int | None:
    """Return how many images a threshold may reach, from the first on; None if not even none.

    Args:
        group: Of each image, (n,), in the order in which the threshold reaches them.
        count: Images, n at least 1.
        rate: Bound that must hold, in (0, 1).
        confidence: In (0, 1).

    >>> allowed_hits(None, 473, 0.01, 0.95), allowed_hits(None, 298, 0.01, 0.95)
    (1, None)
    """
    hit = np.zeros(count, np.bool_)
    allowed = None
    for place in range(count):
        if bound_of(hit, group, confidence).rate > rate:
            return allowed
        allowed = place
        hit[place] = True
    return allowed


def border_below(value: float, values: NDArray[np.float64]) -> float:
    """Return a threshold just below a value: half-way, in log-odds, to the next lower one.

    It is never one of the values: there the last bit, in which two runtimes differ, would decide.
    Values are in [0, 1]; without a lower one the next is 0.

    >>> round(border_below(0.5, np.array([0.1, 0.5, 0.9])), 6)
    0.25
    """
    lower = values[values < value]
    return _between(float(lower.max(initial=0.0)), value)


def border_above(value: float, values: NDArray[np.float64]) -> float:
    """Return a threshold just above a value, likewise; without a greater one the next is 1.

    >>> round(border_above(0.5, np.array([0.1, 0.5, 0.9])), 6)
    0.75
    """
    higher = values[values > value]
    return _between(value, float(higher.min(initial=1.0)))


def _between(low: float, high: float) -> float:
    least = 1e-12
    odds = [math.log(max(one, least)) - math.log(max(1 - one, least)) for one in (low, high)]
    return 1 / (1 + math.exp(-sum(odds) / 2))
