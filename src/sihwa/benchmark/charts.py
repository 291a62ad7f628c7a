"""The drawings of the page: figures as points and bars, `WIDTH` units wide."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sihwa.benchmark.percentiles import PERCENTS
from sihwa.benchmark.results import VariantResult
from sihwa.benchmark.results_text import at_least
from sihwa.reporting.drawings import Axis, line_points, linear_ticks, log_ticks

WIDTH, HEIGHT = 560, 240
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f6b5d", "#8a8f00")
"""Distinct for most people with colour blindness. Source: Okabe and Ito 2008, the first six."""


def tail_drawing(variants: Sequence[VariantResult]) -> dict[str, Any]:
    """Draw which share of images takes longer than so many ms; both axes are logarithmic.

    The line ends at the worst image: nothing is cut off.
    """
    samples = [np.sort(one.whole_ns, axis=None) / 1e6 for one in variants]
    count = samples[0].size
    ticks = log_ticks(min(s[0] for s in samples), max(s[-1] for s in samples))
    x = Axis(ticks[0], ticks[-1], WIDTH, log=True)
    y = Axis(1 / count, 1, HEIGHT, upward=True, log=True)
    # of n samples the k-th, counted from 0, is exceeded or equalled by n - k
    places = sorted({count - round(count ** (step / 200)) for step in range(201)})
    lines = [
        line_points([(s[place], (count - place) / count) for place in places], x, y)
        for s in samples
    ]
    nines = range(int(math.log10(count)) + 1)
    return {
        "height": HEIGHT,
        "lines": _coloured(lines, variants),
        "x_ticks": [(x.place(tick), f"{tick:g}") for tick in ticks],
        "y_ticks": [(y.place(10**-n), f"{100 * 10**-n:g} %") for n in nines],
        "marks": [
            (y.place(1 - percent / 100), name)
            for name, percent in PERCENTS.items()
            if 1 - percent / 100 >= 1 / count
        ],
    }


def throughput_drawing(variants: Sequence[VariantResult]) -> dict[str, Any]:
    """Draw images per second against the batch size, with the interval of each point."""
    sizes = sorted(point.batch for point in variants[0].throughput)
    steps = linear_ticks(max(point.high for one in variants for point in one.throughput))
    x = Axis(sizes[0], sizes[-1], WIDTH, log=True)
    y = Axis(0, steps[-1], HEIGHT, upward=True)
    lines = [
        line_points([(point.batch, point.images_per_s) for point in one.throughput], x, y)
        for one in variants
    ]
    return {
        "height": HEIGHT,
        "lines": _coloured(lines, variants),
        "whiskers": [
            (x.place(p.batch), y.place(p.low), y.place(p.high), COLOURS[number % len(COLOURS)])
            for number, one in enumerate(variants)
            for p in one.throughput
        ],
        "x_ticks": [(x.place(size), str(size)) for size in sizes],
        "y_ticks": [(y.place(step), f"{step:g}") for step in steps],
    }


def stage_bars(
    variants: Sequence[VariantResult], preprocessing_ms: Mapping[int, float | None]
) -> list[dict[str, Any]]:
    """Return for each variant the median ms of its stages, as pieces of one bar.

    `preprocessing_ms` is in OpenVINO on the CPU, by number of threads; it is taken out of `infer`.
    """
    rows: list[dict[str, Any]] = []
    for one in variants:
        stages: dict[str, float] = {name: s.p50.value_ms for name, s in one.stages.items()}
        prepared = preprocessing_ms.get(one.threads) if one.runtime == "openvino" else None
        if prepared is not None:
            prepared = min(stages["infer"], prepared)
            infer, decide = stages.pop("infer") - prepared, stages.pop("decide")
            stages |= {"preprocess": prepared, "infer": infer, "decide": decide}
        rows.append({"name": one.name, "stages": stages, "total": sum(stages.values())})
    x = Axis(0, max(row["total"] for row in rows), WIDTH)
    for row in rows:
        begin = 0.0
        row["pieces"] = []
        for name, value in row["stages"].items():
            piece = {"stage": name, "x": x.place(begin), "width": x.place(value), "ms": value}
            row["pieces"].append(piece)
            begin += value
    return rows


def bars(values: Mapping[str, float], unit: str) -> list[dict[str, Any]]:
    """Return one bar per name, the longest as wide as the drawing.

    >>> [(bar["width"], bar["text"]) for bar in bars({"a": 2.0, "b": 1.0}, "/s")]
    [(560.0, '2.00 /s'), (280.0, '1.00 /s')]
    """
    x = Axis(0, max(values.values(), default=0.0) or 1.0, WIDTH)
    return [
        {"name": name, "width": x.place(value), "text": f"{at_least(value)} {unit}"}
        for name, value in values.items()
    ]


def _coloured(lines: Sequence[str], variants: Sequence[VariantResult]) -> list[dict[str, str]]:
    # after the last colour they start again, dashed
    return [
        {
            "points": line,
            "name": one.name,
            "colour": COLOURS[number % len(COLOURS)],
            "dash": "5 3" if number >= len(COLOURS) else "",
        }
        for number, (line, one) in enumerate(zip(lines, variants, strict=True))
    ]
