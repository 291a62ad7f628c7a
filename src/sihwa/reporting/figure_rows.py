"""Figures as rows of text, for the page and the terminal."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sihwa.reporting.numerals import decimal, decimal_interval, percent, percent_interval
from sihwa.reporting.wording import WORDS, sentence

if TYPE_CHECKING:
    from sihwa.evaluation import Evaluation, Figure

IN_PERCENT = ("escapes", "overkill", "accuracy", "balanced_accuracy")
IN_DECIMALS = ("macro_f1", "expected_calibration_error", "log_loss")


@dataclass(frozen=True, slots=True)
class FigureRow:
    """One figure as text."""

    name: str
    """What is measured."""
    note: str
    """Its definition in a few words."""
    value: str
    """The figure; a dash if undefined."""
    interval: str
    """Its interval; a dash if undefined."""
    share: str
    """'354 of 360' for a rate, otherwise empty."""
    method: str
    """How the interval was computed, or why there is none."""


def figure_rows(evaluation: "Evaluation") -> list[FigureRow]:
    """Return the figures over all classes; escapes and overkill first, if measured."""
    named = ((key, getattr(evaluation, key)) for key in IN_PERCENT + IN_DECIMALS)
    return [figure_row(key, figure) for key, figure in named if figure is not None]


def figure_row(key: str, figure: "Figure") -> FigureRow:
    """Return one figure as text, named by `key`."""
    decimals = key in IN_DECIMALS
    ends = figure.low, figure.high
    share = ""
    if figure.occurrences is not None:
        share = sentence("of", occurrences=figure.occurrences, count=figure.count)
    return FigureRow(
        name=WORDS[key],
        note=WORDS.get(f"{key}_note", ""),
        value=decimal(figure.value) if decimals else percent(figure.value),
        interval=decimal_interval(*ends) if decimals else percent_interval(*ends),
        share=share,
        method=figure.reason or figure.method,
    )
