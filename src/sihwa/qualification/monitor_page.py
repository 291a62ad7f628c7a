"""The charts of a line as one HTML page that needs no other file and no network."""

import math
from pathlib import Path
from typing import Any

from sihwa.errors import UnreadableImage
from sihwa.images import read_image
from sihwa.qualification.control_charts import Chart
from sihwa.qualification.monitor import Alarm, Watch, shown_value
from sihwa.reporting import image_uri
from sihwa.reporting.drawings import Axis, line_points, linear_ticks
from sihwa.reporting.template import render_template
from sihwa.storage import write_text
from sihwa.terminal.names import printable

WIDTH, HEIGHT = 720, 180
_SIDE = 160
_MOST_IMAGES = 60
_NAMES_ACROSS = 6


def write_monitor_page(path: Path, found: Watch, subtitle: str) -> None:
    """Write the page, whole or not at all.

    Raises:
        StorageError: The file system refused.
    """
    page = render_template(
        "sihwa.qualification",
        "monitor.html.j2",
        title="Out of control" if found.alarms else "In control",
        subtitle=subtitle,
        charts=[_drawing(chart, found) for chart in found.charts],
        alarms=_alarms(found.alarms),
        notes=found.notes,
        width=WIDTH,
        height=HEIGHT,
        periods=[
            {
                "name": printable(one.name),
                "images": f"{one.images:,}",
                "rejected": f"{one.rejected:,}",
                "reviewed": f"{one.reviewed:,}",
                "unknown": f"{one.unknown_sum / one.scored:.3f}" if one.scored else "",
                "is_baseline": place < found.baseline,
            }
            for place, one in enumerate(found.periods)
        ],
    )
    write_text(path, page)


def _drawing(chart: Chart, found: Watch) -> dict[str, Any]:
    """Return the geometry of a chart: points, centre and limits as steps."""
    ends = [*chart.low.tolist(), *chart.high.tolist()]
    shown = [(place, one) for place, one in enumerate(chart.value.tolist()) if not math.isnan(one)]
    ends += [one for _, one in shown]
    ticks = _ticks(min(ends), max(ends))
    x = Axis(-0.5, len(chart.value) - 0.5, WIDTH)
    y = Axis(ticks[0], ticks[-1], HEIGHT, upward=True)
    broken = [any(one[place] for one in chart.rules.values()) for place in range(len(chart.value))]
    names = [printable(one.name) for one in found.periods]
    every = max(1, math.ceil(len(chart.value) / _NAMES_ACROSS))
    return {
        "name": chart.name,
        "line": line_points(shown, x, y),
        "limits": [line_points(_steps(ends.tolist()), x, y) for ends in (chart.low, chart.high)],
        "centre": y.place(chart.centre),
        "baseline": x.place(found.baseline - 0.5),
        "dots": [
            {
                "x": x.place(place),
                "y": y.place(value),
                "broken": broken[place],
                "title": f"{names[place]}: {shown_value(chart.name, value)}",
            }
            for place, value in shown
        ],
        "x_ticks": [
            (x.place(place), names[place][:16]) for place in range(0, len(chart.value), every)
        ],
        "y_ticks": [(y.place(tick), shown_value(chart.name, tick)) for tick in ticks],
    }


def _steps(value: list[float]) -> list[tuple[float, float]]:
    """Return a limit as a line that is level within each period."""
    return [(place + side, one) for place, one in enumerate(value) for side in (-0.5, 0.5)]


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers that enclose [low, high].

    >>> _ticks(0.91, 1.12)
    [0.9, 0.95, 1.0, 1.05, 1.1, 1.15]
    """
    step = linear_ticks((high - low) or abs(high) or 1.0)[1]
    first = math.floor(low / step + 1e-9)
    last = max(math.ceil(high / step - 1e-9), first + 1)
    return [round(step * number, 12) for number in range(first, last + 1)]


def _alarms(alarms: list[Alarm]) -> list[dict[str, Any]]:
    left = _MOST_IMAGES
    found = []
    for one in alarms:
        images = [{"name": path, "uri": _uri(path)} for path in one.images[: max(0, left)]]
        left -= len(images)
        found.append({"line": one.line, "images": images})
    return found


def _uri(path: str) -> str | None:
    """Return an image to show; None if it is no longer there."""
    try:
        return image_uri(read_image(path), _SIDE)
    except UnreadableImage:
        return None
