"""The figures as tables for a terminal of 80 columns."""

from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sihwa.reporting.figure_rows import FigureRow, figure_rows
from sihwa.reporting.numerals import percent, percent_interval
from sihwa.reporting.wording import ENGLISH

if TYPE_CHECKING:
    from sihwa.evaluation import Evaluation, Figure


def metrics_table(evaluation: "Evaluation") -> RenderableType:
    """Return the figures, then the classes, each with its interval.

    Args:
        evaluation: What was measured.

    Returns:
        Two tables for `rich.print`, at most 80 columns wide; class names are shown as they
        are, never read as markup.
    """
    return Group(_figures(evaluation), Text(""), _classes(evaluation))


def _figures(evaluation: "Evaluation") -> Table:
    interval = ENGLISH["interval"].format(confidence=_confidence(evaluation.accuracy))
    table = _table(ENGLISH["figure"], ENGLISH["value"], interval)
    table.add_column(ENGLISH["method"], style="dim", ratio=1)
    rows = figure_rows(evaluation, ENGLISH)
    for row in rows:
        table.add_row(Text(row.name), row.value, row.interval, Text(_basis(row)))
    table.caption = Text("\n".join(dict.fromkeys(row.method for row in rows)), justify="left")
    return table


def _classes(evaluation: "Evaluation") -> Table:
    recall_name, precision_name = f"{ENGLISH['recall']}, %", f"{ENGLISH['precision']}, %"
    table = _table(ENGLISH["class"], ENGLISH["images"], recall_name, precision_name)
    rows = zip(evaluation.classes, evaluation.recall, evaluation.precision, strict=True)
    for name, recall, precision in rows:
        table.add_row(Text(name), str(recall.count), _rate(recall), _rate(precision))
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, width=80, pad_edge=False, header_style="bold")
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _rate(figure: "Figure") -> Text:
    if figure.value is None:
        return Text(figure.reason or "", style="dim")
    # The column is headed %: names of classes need the room.
    value, interval = percent(figure.value), percent_interval(figure.low, figure.high)
    text = Text(value.removesuffix(" %"))
    return text.append("  " + interval.removesuffix(" %").replace(" ", ""), style="dim")


def _basis(row: FigureRow) -> str:
    kind = row.method.partition(" (")[0]
    return f"{kind}, {row.share}" if row.share else kind


def _confidence(figure: "Figure") -> str:
    return f"{figure.confidence * 100:g} %"
