"""Has a rate changed between two sets of images? Fisher's exact test, with groups on fewer images.

Axes: N images.
"""

import math
from collections.abc import Callable

import numpy as np
from scipy import special, stats

from sihwa.evaluation.intervals import EXACT, Figure

_STEPS = 60
"""Halvings of the number of images; each adds a binary digit."""


def rate_change(then: Figure, now: Figure) -> float | None:
    """Return the two-sided p-value of Fisher's exact test that two rates are one.

    The images of the two figures must be different ones. A figure over groups counts as the number
    of independent images that its interval states: as many as would give Clopper and Pearson's
    interval of that width. Such numbers are rounded so that the two rates come nearer, so with
    groups the test is conservative.

    Args:
        then: A rate with its interval.
        now: The same rate on other images.

    Returns:
        p in [0, 1]; None if one of the rates is undefined.

    Source: Fisher 1935, Journal of the Royal Statistical Society 98(1); Korn and Graubard 1998,
    Survey Methodology 24(2), for the effective counts.

    >>> figure = dict(low=0, high=1, method=EXACT, confidence=0.95)
    >>> then = Figure(value=0.05, occurrences=5, count=100, **figure)
    >>> round(rate_change(then, Figure(value=0.2, occurrences=20, count=100, **figure)), 4)
    0.0022
    """
    if then.value is None or now.value is None or not then.count or not now.count:
        return None
    higher, lower = sorted((then, now), key=lambda one: one.value or 0.0, reverse=True)
    table = [_counts(higher, math.floor), _counts(lower, math.ceil)]
    (hits, misses), (fewer, more) = table
    if hits * more <= fewer * misses:  # rounding has crossed the rates, so they do not differ
        return 1.0
    return float(stats.fisher_exact(np.array(table)).pvalue)


def effective_images(figure: Figure) -> float:
    """Return how many independent images the interval of a rate is worth, in [1, N]."""
    if figure.method == EXACT or figure.low is None or figure.high is None:
        return float(figure.count)
    few, many = 1.0, float(figure.count)
    for _ in range(_STEPS):
        middle = (few + many) / 2
        if _width(figure, middle) > figure.high - figure.low:
            few = middle
        else:
            many = middle
    return many


def _width(figure: Figure, images: float) -> float:
    """Return the width of Clopper and Pearson's interval of the rate from so many images."""
    hits = (figure.value or 0.0) * images
    misses = images - hits
    tail = (1 - figure.confidence) / 2
    low = special.betaincinv(hits, misses + 1, tail) if hits > 0 else 0.0
    high = special.betaincinv(hits + 1, misses, 1 - tail) if misses > 0 else 1.0
    return float(high - low)


def _counts(figure: Figure, rounded: Callable[[float], int]) -> tuple[int, int]:
    """Return hits and misses of the effective images, hits rounded as told."""
    images = math.floor(effective_images(figure) + 1e-6)
    hits = (figure.value or 0.0) * images
    # a whole number may come out of the division a little beside itself
    whole = round(hits) if abs(hits - round(hits)) < 1e-6 else rounded(hits)
    return whole, images - whole
