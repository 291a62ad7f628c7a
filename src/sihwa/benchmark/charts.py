"""The images of the page: figures turned into points and bars of SVG drawings.

Every drawing is `WIDTH` × its own height, in its own units; y grows downwards.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sihwa.benchmark.percentiles import QUANTILES
from sihwa.benchmark.sentences import at_least
from sihwa.benchmark.timing import STAGES

WIDTH, HEIGHT = 560, 240
BAR = 22
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f6b5d", "#8a8f00")
"""Told apart by most people with colour-blindness. Source: Okabe and Ito 2008, the first six."""

Document = dict[str, Any]


def tail_drawing(variants: Sequence[Mapping[str, Any]]) -> Document:
    """Draw which share of images takes longer than so many ms; both axes are logarithmic.

    The line ends at the worst image: nothing is cut off.
    """
    samples = [np.sort(_whole_ms(one)) for one in variants]
    low, high = min(s[0] for s in samples), max(s[-1] for s in samples)
    ticks = _log_ticks(low, high)
    left, right = math.log10(min(low, ticks[0])), math.log10(max(high, ticks[-1]))
    depth = math.log10(max(len(s) for s in samples))

    def x(value: float) -> float:
        return WIDTH * (math.log10(value) - left) / ((right - left) or 1.0)

    def y(longer: float) -> float:
        return HEIGHT * -math.log10(longer) / (depth or 1.0)

    lines = []
    for ordered in samples:
        count = len(ordered)
        # of n samples the k-th, counted from 0, is exceeded or equalled by n - k
        places = sorted({count - round(count ** (step / 200)) for step in range(201)})
        points = [(x(ordered[place]), y((count - place) / count)) for place in places]
        lines.append(_points(points))
    return {
        "height": HEIGHT,
        "lines": _coloured(lines, variants),
        "x_ticks": [(round(x(tick), 1), f"{tick:g}") for tick in ticks],
        "y_ticks": [
            (round(y(10**-nines), 1), f"{100 * 10**-nines:g} %") for nines in range(int(depth) + 1)
        ],
        "marks": [
            (round(y(1 - percent / 100), 1), name.replace("_", "."))
            for name, percent in QUANTILES.items()
            if y(1 - percent / 100) <= HEIGHT
        ],
    }


def throughput_drawing(variants: Sequence[Mapping[str, Any]]) -> Document:
    """Draw images per second against the batch size, with the interval of each point."""
    points = [point for one in variants for point in one["throughput"]]
    sizes = sorted({point["batch"] for point in points})
    steps = _linear_ticks(max(point["high"] for point in points))
    first, last = math.log2(sizes[0]), math.log2(sizes[-1])

    def x(size: int) -> float:
        return WIDTH * (math.log2(size) - first) / ((last - first) or 1.0)

    def y(rate: float) -> float:
        return HEIGHT * (1 - rate / steps[-1])

    lines = [
        _points([(x(p["batch"]), y(p["images_per_s"])) for p in one["throughput"]])
        for one in variants
    ]
    return {
        "height": HEIGHT,
        "lines": _coloured(lines, variants),
        "whiskers": [
            (round(x(p["batch"]), 1), round(y(p["low"]), 1), round(y(p["high"]), 1), colour)
            for one, colour in zip(variants, _colours(variants), strict=True)
            for p in one["throughput"]
        ],
        "x_ticks": [(round(x(size), 1), str(size)) for size in sizes],
        "y_ticks": [(round(y(step), 1), f"{step:g}") for step in steps],
    }


def stage_bars(
    variants: Sequence[Mapping[str, Any]], preprocessing_ms: Mapping[int, float]
) -> list[Document]:
    """Return for each variant the median ms of its stages, as parts of one bar.

    Args:
        variants: As in the results.
        preprocessing_ms: In OpenVINO on the CPU, by number of threads: shown where it applies, as
            a part of inferring.
    """
    rows = []
    for one in variants:
        parts = {stage: one["stages"][stage]["p50"]["value_ms"] for stage in STAGES}
        if one["runtime"] == "openvino" and one["threads"] in preprocessing_ms:
            prepared = min(parts["infer"], preprocessing_ms[one["threads"]])
            split = {"preprocess": prepared, "infer": parts["infer"] - prepared}
            parts = {"read": parts["read"], "decode": parts["decode"], **split} | {
                "decide": parts["decide"]
            }
        rows.append({"name": one["name"], "parts": parts, "total": sum(parts.values())})
    longest = max(row["total"] for row in rows)
    for row in rows:
        begin = 0.0
        pieces = []
        for name, value in row["parts"].items():
            width = WIDTH * value / longest
            pieces.append(
                {"stage": name, "x": round(begin, 1), "width": round(width, 1), "ms": value}
            )
            begin += width
        row["pieces"] = pieces
    return rows


def bars(values: Mapping[str, float], unit: str) -> list[Document]:
    """Return one bar per name, the longest as wide as the drawing.

    >>> [(bar["width"], bar["text"]) for bar in bars({"a": 2.0, "b": 1.0}, "/s")]
    [(560.0, '2.00 /s'), (280.0, '1.00 /s')]
    """
    longest = max(values.values(), default=0.0) or 1.0
    return [
        {
            "name": name,
            "width": round(WIDTH * value / longest, 1),
            "text": f"{at_least(value)} {unit}",
        }
        for name, value in values.items()
    ]


def _whole_ms(variant: Mapping[str, Any]) -> Any:  # noqa: ANN401
    stages = variant["raw_ns"]["file_to_decision"]
    return sum(np.array(stages[stage], np.float64).reshape(-1) for stage in STAGES) / 1e6


def _colours(variants: Sequence[object]) -> list[str]:
    return [COLOURS[place % len(COLOURS)] for place in range(len(variants))]


def _coloured(lines: Sequence[str], variants: Sequence[Mapping[str, Any]]) -> list[Document]:
    # after the palette's end it starts anew, dashed
    return [
        {
            "points": line,
            "name": one["name"],
            "colour": colour,
            "dash": "5 3" if place >= len(COLOURS) else "",
        }
        for place, (line, one, colour) in enumerate(
            zip(lines, variants, _colours(variants), strict=True)
        )
    ]


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times the powers of ten around a range.

    >>> _log_ticks(3, 40)
    [2.0, 5.0, 10.0, 20.0, 50.0]
    """
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    ticks = [float(f"{step}e{power}") for power in powers for step in (1, 2, 5)]
    first = max(place for place, tick in enumerate(ticks) if tick <= low)
    last = min(place for place, tick in enumerate(ticks) if tick >= high)
    return ticks[first : last + 1]


def _linear_ticks(high: float) -> list[float]:
    """Return round numbers from 0 to beyond `high`.

    >>> _linear_ticks(93)
    [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]
    """
    raw = (high or 1.0) / 5
    power = 10 ** math.floor(math.log10(raw))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= raw)
    return [float(step * number) for number in range(math.ceil((high or 1.0) / step) + 1)]
