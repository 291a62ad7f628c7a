"""Figures over the epochs of a training, as lines of an SVG drawing."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

WIDTH, HEIGHT = 200, 100


def curve_drawings(curves: Mapping[str, Sequence[float]]) -> list[dict[str, Any]]:
    """Return one drawing per curve that has values: its points, and what its ends are called.

    Args:
        curves: Name → one value per epoch; what is not finite is left out of the line.

    >>> curve_drawings({"loss": [1.0, 0.5]})[0]["points"]
    '0.0,0.0 200.0,100.0'
    """
    return [_drawing(name, values) for name, values in curves.items() if any(map(isfinite, values))]


def _drawing(name: str, values: Sequence[float]) -> dict[str, Any]:
    finite = [(place, value) for place, value in enumerate(values) if isfinite(value)]
    low, high = min(value for _, value in finite), max(value for _, value in finite)
    across = max(1, len(values) - 1)
    points = [
        (WIDTH * place / across, HEIGHT * (high - value) / ((high - low) or 1.0))
        for place, value in finite
    ]
    return {
        "name": name,
        "points": " ".join(f"{x:.1f},{y:.1f}" for x, y in points),
        "end": (round(points[-1][0], 1), round(points[-1][1], 1)),
        "high": f"{high:.4g}",
        "low": f"{low:.4g}",
        "last": f"{finite[-1][1]:.4g}",
        "epochs": len(values),
    }
