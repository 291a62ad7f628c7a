"""Figures as text. Intervals and bounds are rounded outwards, so they never promise too much."""

import math

UNDEFINED = "–"


def percent(value: float | None) -> str:
    """Return a share as percent; only 1 gives 100.00 % and only 0 gives 0.00 %.

    >>> percent(0.9944), percent(0.999999), percent(1.0), percent(None)
    ('99.44 %', '99.99 %', '100.00 %', '–')
    """
    if value is None:
        return UNDEFINED
    hundredths = round(value * 1e4)
    if 0 < value < 1:
        hundredths = min(max(hundredths, 1), 9999)
    return f"{hundredths / 100:.2f} %"


def percent_interval(low: float | None, high: float | None) -> str:
    """Return an interval of shares as percent, rounded outwards.

    >>> percent_interval(0.98009, 0.99931)
    '98.00 – 99.94 %'
    """
    if low is None or high is None:
        return UNDEFINED
    return f"{_floor(low, 4) * 100:.2f} – {_ceil(high, 4) * 100:.2f} %"


def percent_bound(bound: float) -> str:
    """Return an upper bound of a share as percent, rounded up.

    >>> percent_bound(0.00828)
    '0.83 %'
    """
    return f"{_ceil(bound, 4) * 100:.2f} %"


def decimal(value: float | None) -> str:
    """Return a number with three decimals.

    >>> decimal(0.01234)
    '0.012'
    """
    return UNDEFINED if value is None else f"{value:.3f}"


def decimal_interval(low: float | None, high: float | None) -> str:
    """Return an interval with three decimals, rounded outwards.

    >>> decimal_interval(0.01234, 0.0211)
    '0.012 – 0.022'
    """
    if low is None or high is None:
        return UNDEFINED
    return f"{_floor(low, 3):.3f} – {_ceil(high, 3):.3f}"


# 0.29 * 1e4 is 2899.9999999999995 in binary, so six digits are rounded first
def _floor(value: float, digits: int) -> float:
    return math.floor(round(value * 10.0**digits, 6)) / 10.0**digits


def _ceil(value: float, digits: int) -> float:
    return math.ceil(round(value * 10.0**digits, 6)) / 10.0**digits
