"""Geometry of SVG drawings, shared by the report and the benchmark page.

Coordinates are in the drawing's own units; y grows downwards, as in SVG.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps values to places along one side of a drawing.

    >>> Axis(0, 10, 200).place(5), Axis(0, 10, 200, upward=True).place(10)
    (100.0, 0.0)
    >>> Axis(1, 100, 200, log=True).place(10)
    100.0
    """

    low: float
    """Value at the start of the axis; above 0 if `log`."""
    high: float
    """Value at the end of the axis."""
    length: float
    """Length of the axis in drawing units."""
    upward: bool = False
    """True for a y axis: the highest value is at the top, place 0."""
    log: bool = False
    """True for a logarithmic axis."""

    def place(self, value: float) -> float:
        """Return where `value` lies, rounded to a tenth; an axis without range has one place."""
        low, high, at = self.low, self.high, value
        if self.log:
            low, high, at = math.log10(low), math.log10(high), math.log10(at)
        share = (at - low) / ((high - low) or 1.0)
        if self.upward:
            share = (high - at) / ((high - low) or 1.0)
        return round(self.length * share, 1)


def line_points(points: Iterable[tuple[float, float]], x: Axis, y: Axis) -> str:
    """Return the `points` attribute of an SVG polyline.

    >>> line_points([(0, 1.0), (1, 0.5)], Axis(0, 1, 200), Axis(0.5, 1, 100, upward=True))
    '0.0,0.0 200.0,100.0'
    """
    return " ".join(f"{x.place(across)},{y.place(up)}" for across, up in points)


def linear_ticks(high: float) -> list[float]:
    """Return round numbers from 0 to `high` or just above it, at most seven.

    >>> linear_ticks(93)
    [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]
    """
    highest = high or 1.0
    power = 10 ** math.floor(math.log10(highest / 5))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= highest / 5)
    return [float(step * number) for number in range(math.ceil(highest / step) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times the powers of ten that enclose [low, high], both above 0.

    >>> log_ticks(3, 40)
    [2.0, 5.0, 10.0, 20.0, 50.0]
    """
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    ticks = [float(f"{step}e{power}") for power in powers for step in (1, 2, 5)]
    first = max(place for place, tick in enumerate(ticks) if tick <= low)
    last = min(place for place, tick in enumerate(ticks) if tick >= high)
    return ticks[first : last + 1]
