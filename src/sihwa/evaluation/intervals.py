"""Figures with confidence intervals: exact for rates, simulated or bootstrap for the others.

    clopper_pearson    accuracy, recall, precision, escapes, overkill
    redrawn_interval   balanced accuracy, macro F1
    bootstrap_sums     calibration error, log loss
    upper_bound        one-sided bounds of the error rate and the escape rate

Axes: N images, K classes, R draws or resamples.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from sihwa.errors import ShapeError
from sihwa.evaluation.arrays import CELLS_AT_ONCE, Float64, IntArray

EXACT = "exact (Clopper-Pearson)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One figure with its confidence interval, or the reason why it is undefined."""

    value: float | None
    """The point estimate; None where it is undefined."""
    low: float | None
    """Lower end of the interval."""
    high: float | None
    """Upper end of the interval."""
    method: str
    """How the interval was computed, e.g. 'exact (Clopper-Pearson)'."""
    confidence: float
    """Two-sided confidence of the interval, in (0, 1)."""
    count: int
    """Number of images; the denominator of a rate."""
    occurrences: int | None = None
    """The numerator of a rate; None for other figures."""
    reason: str | None = None
    """Why the figure is undefined; None where it is defined."""


def clopper_pearson(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact two-sided interval of a rate; `confidence` is in (0, 1).

    It covers the true rate at least as often as `confidence` says.

    Source: Clopper and Pearson 1934, Biometrika 26(4).

    >>> low, high = clopper_pearson(360, 360)
    >>> round(low, 4), high
    (0.9898, 1.0)
    """
    _check_rate(successes, trials, confidence)
    tail = (1 - confidence) / 2
    failures = trials - successes
    low = stats.beta.ppf(tail, successes, failures + 1) if successes else 0.0
    high = stats.beta.ppf(1 - tail, successes + 1, failures) if failures else 1.0
    return float(low), float(high)


def upper_bound(occurrences: int, trials: int, confidence: float = 0.95) -> float:
    """Return the exact one-sided upper bound of a rate, in [0, 1].

    Without occurrences it is about 3 / trials at a confidence of 0.95.

    Source: Clopper and Pearson 1934, Biometrika 26(4).

    >>> round(upper_bound(0, 360), 4)
    0.0083
    """
    _check_rate(occurrences, trials, confidence)
    if occurrences == trials:
        return 1.0
    return float(stats.beta.ppf(confidence, occurrences + 1, trials - occurrences))


def images_to_prove(rate: float, confidence: float = 0.95) -> int:
    """Return how many images without an occurrence prove that the rate is at most `rate`.

    It is the exact bound 1 - (1 - confidence) ** (1 / n), solved for n; `rate` is in (0, 1).

    >>> images_to_prove(0.01), images_to_prove(0.001)
    (299, 2995)
    """
    return math.ceil(math.log(1 - confidence) / math.log(1 - rate) - 1e-9)


def redrawn_interval(
    confusion: IntArray,
    metric: Callable[[Float64], Float64],
    *,
    effect: Float64,
    confidence: float,
    draw_count: int,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Return an interval of a metric of the confusion matrix by redrawing its rows.

    Each row is redrawn from a Dirichlet distribution of its counts: for the lower end as if
    one more image of the rarest class had been wrong, for the upper end as if one more had
    been right. For a single rate this equals Clopper and Pearson's interval. A bootstrap never
    draws an error that did not occur: from 360 right answers in 360 it concludes [1, 1].

    Args:
        confusion: Counts, (K, K), K >= 2, rows true, columns predicted.
        metric: Maps (R, K, K) to (R,); more errors must make it smaller.
        effect: How many images of each class carry the evidence of one independent image, (K,);
            1 where images are independent.
        confidence: In (0, 1).
        draw_count: R.
        rng: Random generator.

    Source: Fay and Feuer 1997, "Confidence intervals for directly standardized rates", for the
    one added error in the stratum of the largest weight.
    """
    per_class = confusion.sum(axis=1)
    rarest = int(np.argmin(np.where(per_class > 0, per_class, per_class.max() + 1)))
    one_wrong, one_right = confusion / effect[:, None], confusion / effect[:, None]
    others = np.arange(len(per_class)) != rarest
    one_wrong[rarest, others] += 1 / others.sum()
    one_right[rarest, rarest] += 1
    tail = (1 - confidence) / 2
    low = np.quantile(metric(_redrawn(one_wrong, per_class, draw_count, rng)), tail)
    high = np.quantile(metric(_redrawn(one_right, per_class, draw_count, rng)), 1 - tail)
    return float(low), float(high)


def bootstrap_sums(value: Float64, *, resample_count: int, rng: np.random.Generator) -> Float64:
    """Return the column sums (R, M) of `value` (N, M) over images drawn with replacement."""
    image_count = len(value)
    step = max(1, CELLS_AT_ONCE // image_count)
    share = np.full(image_count, 1 / image_count)
    sums = [
        rng.multinomial(image_count, share, size=min(step, resample_count - start)) @ value
        for start in range(0, resample_count, step)
    ]
    return np.concatenate(sums)


def _redrawn(
    alpha: Float64, per_class: IntArray, draw_count: int, rng: np.random.Generator
) -> Float64:
    weight = rng.standard_gamma(alpha, size=(draw_count, *alpha.shape))
    total = weight.sum(axis=2, keepdims=True)
    share = np.divide(weight, total, out=np.zeros_like(weight), where=total > 0)
    return np.asarray(share * per_class[:, None])


def _check_rate(occurrences: int, trials: int, confidence: float) -> None:
    if trials < 1:
        raise ShapeError(f"trials must be at least 1, but got {trials}")
    if not 0 <= occurrences <= trials:
        raise ShapeError(f"occurrences must be in [0, {trials}], but got {occurrences}")
    if not 0 < confidence < 1:
        raise ShapeError(f"confidence must be in (0, 1), but got {confidence:g}")
