"""Figures over the epochs of a training, as lines of an SVG drawing."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from sihwa.reporting.drawings import Axis, line_points

WIDTH, HEIGHT = 200, 100


def curve_drawings(curves: Mapping[str, Sequence[float]]) -> list[dict[str, Any]]:
    """Return one drawing per curve with at least one finite value: its points and labels.

    Args:
        curves: Name → one value per epoch; NaN and inf are left out of the line.

    >>> curve_drawings({"loss": [1.0, 0.5]})[0]["points"]
    '0.0,0.0 200.0,100.0'
    """
    return [_drawing(name, values) for name, values in curves.items() if any(map(isfinite, values))]


def _drawing(name: str, values: Sequence[float]) -> dict[str, Any]:
    finite = [(epoch, value) for epoch, value in enumerate(values) if isfinite(value)]
    low, high = min(value for _, value in finite), max(value for _, value in finite)
    x, y = Axis(0, len(values) - 1, WIDTH), Axis(low, high, HEIGHT, upward=True)
    last_epoch, last = finite[-1]
    return {
        "name": name,
        "points": line_points(finite, x, y),
        "end": (x.place(last_epoch), y.place(last)),
        "high": f"{high:.4g}",
        "low": f"{low:.4g}",
        "last": f"{last:.4g}",
        "epochs": len(values),
    }
