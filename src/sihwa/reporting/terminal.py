"""The figures as tables for a terminal of 80 columns."""

from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sihwa.reporting.figure_rows import FigureRow, figure_rows, percent, percent_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sihwa.evaluation import DecisionFigures, Evaluation, Figure


def metrics_table(evaluation: "Evaluation") -> RenderableType:
    """Return tables at most 80 columns wide, for `rich.print`: figures, decisions, and classes.

    Class names are shown literally, never read as markup.
    """
    tables: list[RenderableType] = [_figures(evaluation), Text("")]
    if evaluation.decisions:
        tables += [_decisions(evaluation.classes, evaluation.decisions), Text("")]
    return Group(*tables, _classes(evaluation))


def _figures(evaluation: "Evaluation") -> Table:
    interval = f"{evaluation.accuracy.confidence * 100:g} % interval"
    table = _table("Figure", "Value", interval)
    table.add_column("Method", style="dim", ratio=1)
    rows = figure_rows(evaluation)
    for row in rows:
        table.add_row(Text(row.name), row.value, row.interval, Text(_basis(row)))
    table.caption = Text("\n".join(dict.fromkeys(row.method for row in rows)), justify="left")
    return table


def _decisions(classes: "Sequence[str]", decisions: "DecisionFigures") -> Table:
    table = _table("True class", "Accepted", "Rejected", "To review")
    for name, shares in zip(classes, decisions.shares, strict=True):
        table.add_row(Text(name), *(_share(one) for one in shares))
    return table


def _share(figure: "Figure") -> Text:
    if figure.value is None:
        return Text(figure.reason or "", style="dim")
    text = Text(f"{figure.occurrences:,}")
    return text.append(f"  {percent(figure.value)}", style="dim")


def _classes(evaluation: "Evaluation") -> Table:
    table = _table("Class", "Images", "Recall, %", "Precision, %")
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
    # the % is in the column's heading, which leaves room for class names
    value, interval = percent(figure.value), percent_interval(figure.low, figure.high)
    text = Text(value.removesuffix(" %"))
    return text.append("  " + interval.removesuffix(" %").replace(" ", ""), style="dim")


def _basis(row: FigureRow) -> str:
    kind = row.method.partition(" (")[0]
    return f"{kind}, {row.share}" if row.share else kind
