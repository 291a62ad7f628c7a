"""Does a line still behave as in its baseline? Charts of the rates and of the unknown score.

Axes: P periods, the first B of which are the baseline.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sihwa.errors import ConfigError, DatasetError
from sihwa.evaluation.arrays import BoolArray, Int64
from sihwa.qualification.control_charts import LENGTHS, Chart, ewma_chart, p_chart
from sihwa.qualification.lots import Period
from sihwa.terminal.names import counted, printable

USUAL_BASELINE = 20
"""Periods of a baseline, if there are enough. Source: Montgomery, 20 to 25."""
LEAST_BASELINE = 5
_LEAST_EXPECTED = 5
"""Fewer expected occurrences a period, and the limits of a rate are rough."""
_NAMED = 5
_IMAGES = {"reject rate": "rejected", "review rate": "reviewed", "unknown score": "unknown"}


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """A rule that was broken in one period or in several that follow each other."""

    chart: str
    rule: str
    since: str
    """The period in which the pattern begins."""
    until: str
    """The last period that completes it."""
    ongoing: bool
    """Whether that is the last period of all."""
    value: float
    """What is plotted for the period `until`."""
    low: float
    high: float
    images: tuple[str, ...]
    """The images that moved it most, by unknown score."""

    @property
    def line(self) -> str:
        """The alarm in one line."""
        when = f"in {self.since}" if self.since == self.until else f"{self.since} to {self.until}"
        if self.ongoing:
            when = f"since {self.since}"
        value, low, high = (
            shown_value(self.chart, one) for one in (self.value, self.low, self.high)
        )
        return f"{self.chart} {self.rule}, {when}: {value}, limits {low} and {high}"


def shown_value(chart: str, value: float) -> str:
    """Return a value of a chart as text.

    >>> shown_value("reject rate", 0.1234), shown_value("unknown score", 1.0123456)
    ('12.3 %', '1.012')
    """
    return f"{100 * value:.3g} %" if chart.endswith("rate") else f"{value:.4g}"


@dataclass(frozen=True, eq=False)
class Watch:
    """The charts of a line, and their alarms."""

    periods: list[Period]
    baseline: int
    """B."""
    charts: list[Chart]
    alarms: list[Alarm]
    notes: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "baseline": self.baseline,
            "periods": [
                {
                    "name": printable(one.name),
                    "since": one.since,
                    "images": one.images,
                    "rejected": one.rejected,
                    "reviewed": one.reviewed,
                    "mean_unknown": one.unknown_sum / one.scored if one.scored else None,
                }
                for one in self.periods
            ],
            "charts": [_chart_facts(one) for one in self.charts],
            "alarms": [
                {name: getattr(one, name) for name in Alarm.__dataclass_fields__}
                for one in self.alarms
            ],
            "notes": self.notes,
        }


def watch(periods: Sequence[Period], baseline: int | None = None, last: int | None = None) -> Watch:
    """Draw the charts and find the alarms after the baseline.

    Args:
        periods: In order of time.
        baseline: B; None is the first 20, or all but the last.
        last: Only alarms of so many last periods are kept; None is all.

    Raises:
        DatasetError: There are too few periods.
        ConfigError: `baseline` leaves no period to watch, or is too small.
    """
    count = _baseline(len(periods), baseline)
    images = np.array([one.images for one in periods])
    charts = [
        p_chart("reject rate", np.array([one.rejected for one in periods]), images, count),
        p_chart("review rate", np.array([one.reviewed for one in periods]), images, count),
    ]
    notes = [*_size_notes(charts, images, count)]
    if sum(one.scored > 0 for one in periods[:count]) >= 2:
        charts.append(_unknown_chart(periods, count))
    else:
        notes.append("no chart of the unknown score: the baseline has none")
    first = count if last is None else max(count, len(periods) - last)
    alarms = [one for chart in charts for one in _alarms(chart, periods, first)]
    notes += [line for chart in charts for line in _unsteady(chart, periods, count)]
    return Watch(list(periods), count, charts, alarms, notes)


def _baseline(periods: int, asked: int | None) -> int:
    if periods < LEAST_BASELINE + 1:
        raise DatasetError(
            f"expected at least {LEAST_BASELINE} periods of a baseline and one to watch, got "
            f"{counted(periods, 'period')}; score more, or take shorter periods (--by hour)"
        )
    count = min(USUAL_BASELINE, periods - 1) if asked is None else asked
    if not LEAST_BASELINE <= count < periods:
        raise ConfigError(
            f"--baseline must be from {LEAST_BASELINE} to {periods - 1}, so that one of "
            f"{periods} periods is left to watch; got {count}"
        )
    return count


def _unknown_chart(periods: Sequence[Period], baseline: int) -> Chart:
    scored = np.array([one.scored for one in periods])
    total = np.array([one.unknown_sum for one in periods])
    squares = np.array([one.unknown_squares for one in periods])
    mean = np.divide(total, scored, out=np.full(len(periods), np.nan), where=scored > 0)
    sums = np.maximum(squares - np.nan_to_num(mean) * total, 0)
    variance = sums / np.maximum(scored - 1, 1)
    return ewma_chart("unknown score", mean, variance, scored, baseline)


def _alarms(chart: Chart, periods: Sequence[Period], first: int) -> list[Alarm]:
    """Return the alarms that last into period `first` or later."""
    return [
        _alarm(chart, rule, periods, start, end)
        for rule, broken in chart.rules.items()
        for start, end in _stretches(broken)
        if end >= first
    ]


def _stretches(broken: BoolArray) -> list[tuple[int, int]]:
    """Return first and last place of each stretch that is true.

    >>> _stretches(np.array([True, False, True, True]))
    [(0, 0), (2, 3)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], broken, [False]])))
    return [(int(start), int(end) - 1) for start, end in edges.reshape(-1, 2)]


def _alarm(chart: Chart, rule: str, periods: Sequence[Period], start: int, end: int) -> Alarm:
    begin = start - LENGTHS[rule] + 1
    kind = _IMAGES[chart.name]
    kept = (named for one in periods[begin : end + 1] for named in one.most.get(kind, ()))
    return Alarm(
        chart=chart.name,
        rule=rule,
        since=printable(periods[begin].name),
        until=printable(periods[end].name),
        ongoing=end == len(periods) - 1,
        value=float(chart.value[end]),
        low=float(chart.low[end]),
        high=float(chart.high[end]),
        images=tuple(printable(path) for _, path in heapq.nlargest(_NAMED, kept)),
    )


def _size_notes(charts: Sequence[Chart], images: Int64, baseline: int) -> list[str]:
    notes = []
    if baseline < USUAL_BASELINE:
        notes.append(
            f"the baseline has {baseline} periods, fewer than the usual {USUAL_BASELINE}: its "
            "limits are rough"
        )
    usual = float(np.median(images[baseline:]))
    for chart in charts:
        expected = usual * chart.centre
        if chart.centre == 0:
            notes.append(f"{chart.name}: none in the baseline, so a single one is an alarm")
        elif expected < _LEAST_EXPECTED:
            notes.append(
                f"{chart.name}: {expected:.1f} expected in a period of {usual:.0f} images are few "
                "for its limits, so false alarms are frequent; take longer periods"
            )
    return notes


def _unsteady(chart: Chart, periods: Sequence[Period], baseline: int) -> list[str]:
    """Say where the baseline itself breaks a rule."""
    broken = np.any([*chart.rules.values()], axis=0)[:baseline]
    if not broken.any():
        return []
    name = printable(periods[int(broken.argmax())].name)
    return [
        f"{chart.name}: the baseline breaks a rule itself, first in {name}; limits mean little "
        "unless it was in control"
    ]


def _chart_facts(chart: Chart) -> dict[str, Any]:
    points = zip(chart.value.tolist(), chart.low.tolist(), chart.high.tolist(), strict=True)
    return {
        "name": chart.name,
        "centre": chart.centre,
        "points": [
            {
                "value": None if np.isnan(value) else value,
                "low": low,
                "high": high,
                "broken": [rule for rule, broken in chart.rules.items() if broken[place]],
            }
            for place, (value, low, high) in enumerate(points)
        ],
    }
