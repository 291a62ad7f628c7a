"""Kappa: agreement beyond chance, of two appraisers (Cohen) or of several (Fleiss).

Axes: N parts, K categories.
"""

import math

import numpy as np
from scipy import stats

from sihwa.errors import ShapeError
from sihwa.evaluation.arrays import Float64, IntArray
from sihwa.evaluation.intervals import Figure, clopper_pearson

ASYMPTOTIC = "asymptotic (Fleiss, Cohen and Everitt 1969)"
JACKKNIFE = "jackknife over parts"
FAULTLESS = "exact bound of the agreement (Clopper-Pearson), chance as observed"
_ONE_CATEGORY = "all decisions are the same, so nothing is left beyond chance"


def cohens_kappa(count: IntArray, confidence: float = 0.95, effect: float = 1.0) -> Figure:
    """Return Cohen's kappa of two appraisers, with its interval.

    Without a disagreement the asymptotic standard error is 0. The lower end is then that of the
    agreement's exact interval, so that a short study proves little.

    Args:
        count: Decisions, (K, K), K at least 2; rows are one appraiser, columns the other.
        confidence: Two-sided, in (0, 1).
        effect: How many decisions carry the evidence of one independent decision, at least 1; see
            `design_effect`.

    Returns:
        Kappa and its interval, in [-1, 1]; undefined if both took one category alone.

    Raises:
        ShapeError: An argument is out of its range.

    Source: Cohen 1960; Fleiss, Cohen and Everitt 1969, Psychological Bulletin 72(5).

    >>> figure = cohens_kappa(np.array([[20, 5], [10, 15]]))
    >>> [round(end, 3) for end in (figure.value, figure.low, figure.high)]
    [0.4, 0.151, 0.649]
    """
    table = _checked(count, confidence)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or table.shape[0] < 2:
        raise ShapeError(f"count must be (K, K) with K at least 2, but got shape {table.shape}")
    if not effect >= 1:
        raise ShapeError(f"effect must be at least 1, but got {effect:g}")
    total = int(table.sum())
    share = table / total
    row, column = share.sum(1), share.sum(0)
    agreed, chance = float(np.trace(share)), float(row @ column)
    if math.isclose(chance, 1):
        return _undefined(ASYMPTOTIC, confidence, total)
    value = (agreed - chance) / (1 - chance)
    if np.trace(table) == total:
        return _faultless(chance, confidence, total, max(1, int(total / effect)))
    # shrinks the square of the expected agreement, cell by cell
    diagonal = np.diag(share) @ (1 - (row + column) * (1 - value)) ** 2
    others = share * (column[:, None] + row[None, :]) ** 2
    beside = (1 - value) ** 2 * (others.sum() - np.trace(others))
    variance = (diagonal + beside - (value - chance * (1 - value)) ** 2) / (1 - chance) ** 2
    error = math.sqrt(max(0.0, variance) / total * effect)
    return _normal(value, error, ASYMPTOTIC, confidence, total)


def fleiss_kappa(count: IntArray, confidence: float = 0.95) -> Figure:
    """Return Fleiss' kappa of several decisions on each part, with its interval.

    The standard error is that of the jackknife, which leaves out one part at a time.

    Args:
        count: How often each part got each category, (N, K); every part has as many decisions, at
            least 2.
        confidence: Two-sided, in (0, 1).

    Returns:
        Kappa and its interval, in [-1, 1]; undefined if all decisions are the same.

    Raises:
        ShapeError: An argument is out of its range.

    Source: Fleiss 1971, Psychological Bulletin 76(5); Efron and Stein 1981 for the jackknife.

    >>> figure = fleiss_kappa(np.array([[3, 0], [2, 1], [0, 3], [0, 3]]))
    >>> round(figure.value, 3)
    0.657
    """
    table = _checked(count, confidence)
    if table.ndim != 2 or table.shape[1] < 2:
        raise ShapeError(f"count must be (N, K) with K at least 2, but got shape {table.shape}")
    each = table.sum(1)
    if each[0] < 2 or (each != each[0]).any():
        raise ShapeError("every part must have as many decisions, at least 2")
    agreed = (table * (table - 1)).sum(1) / (each[0] * (each[0] - 1))
    share = table / each[0]
    parts = len(table)
    chance = float((share.mean(0) ** 2).sum())
    if math.isclose(chance, 1):
        return _undefined(JACKKNIFE, confidence, parts)
    if agreed.min() == 1:
        return _faultless(chance, confidence, parts, parts)
    value = (agreed.mean() - chance) / (1 - chance)
    if parts < 2:
        return _normal(float(value), math.inf, JACKKNIFE, confidence, parts)
    error = _jackknife_error(agreed, share)
    return _normal(float(value), error, JACKKNIFE, confidence, parts)


def _jackknife_error(agreed: Float64, share: Float64) -> float:
    """Return the standard error of Fleiss' kappa; inf where one part alone has a category."""
    parts = len(agreed)
    without = (agreed.sum() - agreed) / (parts - 1)
    chance = (((share.sum(0) - share) / (parts - 1)) ** 2).sum(1)
    if np.isclose(chance, 1).any():
        return math.inf
    value = (without - chance) / (1 - chance)
    return math.sqrt((parts - 1) / parts * float(((value - value.mean()) ** 2).sum()))


def _checked(count: IntArray, confidence: float) -> IntArray:
    table = np.asarray(count)
    if table.dtype.kind not in "iu" or table.size == 0 or table.min() < 0 or table.sum() < 1:
        raise ShapeError("count must hold whole numbers, none below 0 and some above it")
    if not 0 < confidence < 1:
        raise ShapeError(f"confidence must be in (0, 1), but got {confidence:g}")
    return table.astype(np.int64)


def _normal(value: float, error: float, method: str, confidence: float, count: int) -> Figure:
    reach = float(stats.norm.ppf((1 + confidence) / 2)) * error
    low, high = max(-1.0, value - reach), min(1.0, value + reach)
    return Figure(
        value=value, low=low, high=high, method=method, confidence=confidence, count=count
    )


def _faultless(chance: float, confidence: float, count: int, independent: int) -> Figure:
    """Return kappa 1, whose lower end is that of an agreement without a fault."""
    least, _ = clopper_pearson(independent, independent, confidence)
    low = (least - chance) / (1 - chance)
    return Figure(
        value=1.0,
        low=max(-1.0, low),
        high=1.0,
        method=FAULTLESS,
        confidence=confidence,
        count=count,
    )


def _undefined(method: str, confidence: float, count: int) -> Figure:
    return Figure(
        value=None,
        low=None,
        high=None,
        method=method,
        confidence=confidence,
        count=count,
        reason=_ONE_CATEGORY,
    )
