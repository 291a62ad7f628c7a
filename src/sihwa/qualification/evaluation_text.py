"""What an evaluation found, as tables for a terminal of 80 columns."""

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from sihwa.evaluation import Figure
from sihwa.qualification.paired import LEVEL, PairedVerdict
from sihwa.qualification.then_and_now import Change
from sihwa.reporting.figure_rows import percent
from sihwa.reporting.wording import WORDS

NAMES = {**WORDS, "wrong_classes": "Wrong top classes"}
"""Names of figures by key."""


def changes_table(changes: Sequence[Change]) -> Table:
    """Return one row per figure: in the training run, now, p-value and verdict."""
    table = _table("Figure", "Training run", "Now", "p", "Verdict")
    for one in changes:
        p_value = "–" if one.p_value is None else f"{one.p_value:.2g}"
        rates = _rate(one.then), _rate(one.now)
        words = one.verdict.partition(" (")[0]  # p has a column of its own
        table.add_row(NAMES[one.name], *rates, p_value, _verdict(words))
    table.caption = Text(
        f"a difference counts if p is at most {LEVEL:g}; as before: none was seen, and fewer "
        "images show less",
        justify="left",
    )
    return table


def paired_table(paired: Sequence[PairedVerdict]) -> Table:
    """Return one row per figure: this inspector, the other one, and the verdict on this one."""
    table = _table("Figure", "This inspector", "The other", "Verdict on this one")
    for one in paired:
        counts = (
            f"{count:,}  (alone {alone:,})"
            for count, alone in ((one.one, one.test.only_a), (one.other, one.test.only_b))
        )
        table.add_row(NAMES[one.name], *counts, _verdict(one.verdict))
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, width=80, pad_edge=False, header_style="bold")
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, justify="left" if name.startswith("Verdict") else "right")
    return table


def _rate(figure: Figure) -> str:
    if figure.value is None:
        return "–"
    return f"{percent(figure.value)}\n{figure.occurrences:,} of {figure.count:,}"


def _verdict(text: str) -> Text:
    styles = {"worse": "bold red", "better": "green"}
    return Text(text, style=styles.get(text.split()[0], ""))
