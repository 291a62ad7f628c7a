"""Control charts: points with limits from a baseline, and the rules that raise an alarm.

Axes: P periods, the first B of which are the baseline.
"""

from dataclasses import dataclass

import numpy as np

from sihwa.evaluation.arrays import BoolArray, Float64, Int64

LAMBDA = 0.2
"""Weight of the newest period in the EWMA; 0.05 to 0.25 is usual (Montgomery)."""
SIGMAS = 3.0
BEYOND, SIDE, TREND = "beyond 3 sigma", "9 on one side", "6 rising or falling"
LENGTHS = {BEYOND: 1, SIDE: 9, TREND: 6}
"""Periods of each rule's pattern."""


@dataclass(frozen=True, eq=False)
class Chart:
    """One control chart."""

    name: str
    """`reject rate`, `review rate` or `unknown score`."""
    value: Float64
    """What is plotted, (P,); NaN where a period has none."""
    centre: float
    low: Float64
    """Lower limit, (P,)."""
    high: Float64
    """Upper limit, (P,)."""
    rules: dict[str, BoolArray]
    """For each rule, whether the period completes its pattern, (P,)."""


def p_chart(name: str, count: Int64, images: Int64, baseline: int) -> Chart:
    """Return a chart of a rate, with limits that vary with the images of a period.

    The centre is the rate p of all images of the baseline, the limits are p ± 3 √(p (1 - p) / n),
    cut at 0 and 1.

    Args:
        name: Of the chart.
        count: Occurrences per period, (P,).
        images: Images per period, (P,), each at least 1.
        baseline: B, at least 1.

    Source: Montgomery, Introduction to Statistical Quality Control, 7th edition, section 7.2; rules
    1 to 3 of Nelson 1984, Journal of Quality Technology 16(4) (rule 1 is Western Electric's, too).
    """
    value = count / images
    centre = float(count[:baseline].sum() / images[:baseline].sum())
    reach = SIGMAS * np.sqrt(centre * (1 - centre) / images)
    low, high = np.maximum(centre - reach, 0), np.minimum(centre + reach, 1)
    rules = {
        BEYOND: _beyond(value, low, high),
        SIDE: _one_side(value, centre),
        TREND: _trend(value),
    }
    return Chart(name, value, centre, low, high, rules)


def ewma_chart(name: str, mean: Float64, variance: Float64, images: Int64, baseline: int) -> Chart:
    """Return a chart of the exponentially weighted moving average of the periods' means.

    z = λ x + (1 - λ) z, from the centre on. Its variance is summed exactly, period by period; with
    equal periods it is σ² λ / (2 - λ) (1 - (1 - λ)^(2 i)). The variance of a period's mean is that
    between the periods of the baseline, beyond chance, plus that of its images: lots differ even
    where nothing is wrong.

    Args:
        name: Of the chart.
        mean: Mean score per period, (P,); NaN where no image has one: z stays.
        variance: Variance of the scores within each period, (P,).
        images: Images with a score per period, (P,).
        baseline: B; at least 2 of its periods have a mean.

    Source: Roberts 1959, Technometrics 1(3); exact limits: Lucas and Saccucci 1990, Technometrics
    32(1); variance between periods by moments: Cochran 1954, Biometrics 10(1).
    """
    known = np.isfinite(mean)
    first = known & (np.arange(len(mean)) < baseline)
    centre = float(mean[first].mean())
    within = float((variance[first] * images[first]).sum() / images[first].sum())
    own = within / np.maximum(images, 1)
    between = max(0.0, float(mean[first].var(ddof=1) - own[first].mean()))
    z, spread = centre, 0.0
    value, error = np.full(len(mean), np.nan), np.zeros(len(mean))
    for period in range(len(mean)):
        if known[period]:
            z = LAMBDA * mean[period] + (1 - LAMBDA) * z
            spread = LAMBDA**2 * (between + own[period]) + (1 - LAMBDA) ** 2 * spread
            value[period] = z
        error[period] = np.sqrt(spread)
    low, high = centre - SIGMAS * error, centre + SIGMAS * error
    # the points of an EWMA hang together, so rules about runs do not apply
    return Chart(name, value, centre, low, high, {BEYOND: _beyond(value, low, high)})


def _beyond(value: Float64, low: Float64, high: Float64) -> BoolArray:
    # rounding must not push a point over a limit that it lies on
    return np.asarray((value > high + 1e-12) | (value < low - 1e-12))


def _one_side(value: Float64, centre: float) -> BoolArray:
    return _run(np.sign(np.round(value - centre, 12)), LENGTHS[SIDE])


def _trend(value: Float64) -> BoolArray:
    steps = np.sign(np.round(np.diff(value, prepend=value[:1]), 12))
    return _run(steps, LENGTHS[TREND] - 1)  # six points are five steps


def _run(sign: Float64, length: int) -> BoolArray:
    """Tell where a run of so many equal signs, none of them 0, is complete."""
    found = np.zeros(len(sign), bool)
    run = 0
    for place, one in enumerate(sign):
        same = place > 0 and one == sign[place - 1]
        run = (run + 1 if same else 1) if one else 0
        found[place] = run >= length
    return found
