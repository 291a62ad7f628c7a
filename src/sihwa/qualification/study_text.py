"""The figures of an agreement study and of a simulated one, as tables for a terminal."""

from collections.abc import Iterator

from rich import box
from rich.table import Table
from rich.text import Text

from sihwa.evaluation import Figure
from sihwa.qualification.agreement import Agreement, AppraiserFigures
from sihwa.qualification.repeatability import Repeatability
from sihwa.reporting.figure_rows import decimal, decimal_interval, percent, percent_interval
from sihwa.terminal.names import counted

_NAMES = {
    "within": ("agrees with itself", "parts"),
    "effectiveness": ("right in all trials", "parts"),
    "miss_rate": ("misses", "decisions"),
    "false_alarm_rate": ("false alarms", "decisions"),
    "review": ("review", "decisions"),
    "kappa": ("kappa to reference", ""),
}


def agreement_table(agreement: Agreement) -> Table:
    """Return a table of each appraiser, then of what is between them; names are shown literally."""
    table = _table("", "value", "interval", "of", "AIAG")
    for one in agreement.appraisers:
        for cells in _rows(one):
            table.add_row(*cells)
    together = Text("between appraisers", style="bold")
    if agreement.pairs:
        table.add_row(together, "", "", "", "")
    for pair in agreement.pairs:
        table.add_row(Text(f"  kappa, {pair.one} and {pair.other}"), *_kappa(pair.kappa), "", "")
    if agreement.all_agree:
        shown = _share(agreement.all_agree, "parts")
        table.add_row("  all decisions agree", *shown, "")
    if agreement.fleiss_kappa:
        table.add_row("  Fleiss' kappa", *_kappa(agreement.fleiss_kappa), "", "")
    return table


def repeatability_table(found: Repeatability) -> Table:
    """Return a table of each change, and the share of images whose decision stays."""
    table = _table("change", "decision stays", "interval", "of", "flips")
    for one in found.changes:
        table.add_row(one.name, *_share(one.stays, "images"), f"{one.flips:,} of {one.trials:,}")
    return table


def _rows(one: AppraiserFigures) -> Iterator[tuple[Text | str, ...]]:
    grades = {limit.figure: limit.grade for limit in one.limits}
    heading = Text(one.name, style="bold").append(f", {counted(one.trials, 'trial')}", style="dim")
    yield heading, "", "", "", Text(one.verdict, style="bold")
    for key, (name, unit) in _NAMES.items():
        figure: Figure = getattr(one, key)
        cells = (*_kappa(figure), "") if key == "kappa" else _share(figure, unit)
        yield f"  {name}", *cells, grades.get(key, "")


def _share(figure: Figure, unit: str) -> tuple[str, str, str]:
    if figure.value is None:
        return "–", "–", figure.reason or ""
    interval = percent_interval(figure.low, figure.high)
    return percent(figure.value), interval, f"{figure.occurrences} of {figure.count} {unit}"


def _kappa(figure: Figure) -> tuple[str, str]:
    return decimal(figure.value), decimal_interval(figure.low, figure.high)


def _table(*heads: str) -> Table:
    table = Table(*heads, box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in table.columns[1:3]:
        column.justify = "right"
        column.no_wrap = True
    return table
