"""Figures as text, for the page and the terminal.

Intervals and bounds are rounded outwards, so they never promise too much.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sihwa.reporting.wording import WORDS

if TYPE_CHECKING:
    from sihwa.evaluation import Evaluation, Figure

_OF_DECISIONS = ("escapes", "overkill", "review", "errors")
_OF_TOP_CLASS = ("accuracy", "balanced_accuracy")
_IN_DECIMALS = ("macro_f1", "expected_calibration_error", "log_loss")
UNDEFINED = "–"


@dataclass(frozen=True, slots=True)
class FigureRow:
    """One figure as text; value and interval are a dash if undefined."""

    name: str
    note: str
    """The definition in a few words."""
    value: str
    interval: str
    share: str
    """'354 of 360' for a rate, otherwise empty."""
    method: str
    """How the interval was computed, or why there is none."""


def figure_rows(evaluation: "Evaluation") -> list[FigureRow]:
    """Return the figures over all classes: those of the decisions first, then of the top class."""
    decisions = evaluation.decisions
    named = [(key, getattr(decisions, key)) for key in _OF_DECISIONS] if decisions else []
    if decisions and decisions.parts:
        parts = decisions.parts
        named += [
            ("part_escapes", parts.escapes),
            ("part_overkill", parts.overkill),
            ("part_review", parts.review),
        ]
    named += [
        ("top_class_escapes", evaluation.escapes),
        ("top_class_overkill", evaluation.overkill),
    ]
    named += [(key, getattr(evaluation, key)) for key in _OF_TOP_CLASS + _IN_DECIMALS]
    return [figure_row(key, figure) for key, figure in named if figure is not None]


def figure_row(key: str, figure: "Figure") -> FigureRow:
    """Return one figure as text, named by `key`."""
    decimals = key in _IN_DECIMALS
    ends = figure.low, figure.high
    share = ""
    if figure.occurrences is not None:
        share = f"{figure.occurrences} of {figure.count}"
    return FigureRow(
        name=WORDS[key],
        note=WORDS.get(f"{key}_note", ""),
        value=decimal(figure.value) if decimals else percent(figure.value),
        interval=decimal_interval(*ends) if decimals else percent_interval(*ends),
        share=share,
        method=figure.reason or figure.method,
    )


def percent(value: float | None) -> str:
    """Return a share as percent; only 1 gives 100.00 % and only 0 gives 0.00 %.

    >>> percent(0.9944), percent(0.999999), percent(1.0), percent(None)
    ('99.44 %', '99.99 %', '100.00 %', '–')
    """
    if value is None:
        return UNDEFINED
    hundredths = round(value * 1e4)
    if 0 < value < 1:
        hundredths = min(max(hundredths, 1), 9999)
    return f"{hundredths / 100:.2f} %"


def percent_interval(low: float | None, high: float | None) -> str:
    """Return an interval of shares as percent, rounded outwards.

    >>> percent_interval(0.98009, 0.99931)
    '98.00 – 99.94 %'
    """
    if low is None or high is None:
        return UNDEFINED
    return f"{_floor(low, 4) * 100:.2f} – {_ceil(high, 4) * 100:.2f} %"


def percent_bound(bound: float) -> str:
    """Return an upper bound of a share as percent, rounded up."""
    return f"{_ceil(bound, 4) * 100:.2f} %"


def decimal(value: float | None) -> str:
    """Return a number with three decimals."""
    return UNDEFINED if value is None else f"{value:.3f}"


def decimal_interval(low: float | None, high: float | None) -> str:
    """Return an interval with three decimals, rounded outwards.

    >>> decimal_interval(0.01234, 0.0211)
    '0.012 – 0.022'
    """
    if low is None or high is None:
        return UNDEFINED
    return f"{_floor(low, 3):.3f} – {_ceil(high, 3):.3f}"


# 0.29 * 1e4 is 2899.9999999999995 in binary, so six digits are rounded first
def _floor(value: float, digits: int) -> float:
    return math.floor(round(value * 10.0**digits, 6)) / 10.0**digits


def _ceil(value: float, digits: int) -> float:
    return math.ceil(round(value * 10.0**digits, 6)) / 10.0**digits
