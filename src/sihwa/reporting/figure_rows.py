"""Figures in the order people ask for them, as text, for the page and the terminal."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sihwa.reporting.numerals import decimal, decimal_interval, percent, percent_interval

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
    """The same in plain words."""
    value: str
    """The figure, or a dash."""
    interval: str
    """Its interval, or a dash."""
    share: str
    """'354 of 360' for a rate, else empty."""
    method: str
    """How the interval was made, or why there is none."""


def figure_rows(evaluation: "Evaluation", wording: Mapping[str, str]) -> list[FigureRow]:
    """Return the figures of all images; escapes and overkill first, where measured."""
    named = ((key, getattr(evaluation, key)) for key in IN_PERCENT + IN_DECIMALS)
    return [figure_row(key, figure, wording) for key, figure in named if figure is not None]


def figure_row(key: str, figure: "Figure", wording: Mapping[str, str]) -> FigureRow:
    """Return one figure as text, named by `key`."""
    decimals = key in IN_DECIMALS
    ends = figure.low, figure.high
    share = ""
    if figure.occurrences is not None:
        share = wording["of"].format(occurrences=figure.occurrences, count=figure.count)
    return FigureRow(
        name=wording[key],
        note=wording.get(f"{key}_note", ""),
        value=decimal(figure.value) if decimals else percent(figure.value),
        interval=decimal_interval(*ends) if decimals else percent_interval(*ends),
        share=share,
        method=figure.reason or figure.method,
    )
