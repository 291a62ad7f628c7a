"""The limits of the AIAG manual for an appraiser, and the grade of a figure by them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sihwa.evaluation import Figure

GRADES = ("acceptable", "marginal", "unacceptable")
UNDEFINED = "undefined"
_MANUAL = "AIAG, Measurement Systems Analysis, 4th edition, chapter III, section C"


class _Limit(NamedTuple):
    acceptable: float
    marginal: float
    source: str


_AT_LEAST = {
    "effectiveness": _Limit(0.90, 0.80, f"{_MANUAL}: effectiveness"),
    "kappa": _Limit(0.75, 0.40, f"{_MANUAL}: kappa above 0.75 is good, below 0.40 poor"),
}
_AT_MOST = {
    "miss_rate": _Limit(0.02, 0.05, f"{_MANUAL}: miss rate"),
    "false_alarm_rate": _Limit(0.05, 0.10, f"{_MANUAL}: false alarm rate"),
}


@dataclass(frozen=True, kw_only=True)
class Graded:
    """A figure compared with its limits."""

    figure: str
    grade: str
    """One of `GRADES`, or `UNDEFINED`."""
    acceptable: float
    """Limit of an acceptable figure."""
    marginal: float
    """Limit of a marginal one."""
    source: str


def grade(name: str, figure: Figure) -> Graded:
    """Grade one of effectiveness, miss_rate, false_alarm_rate and kappa by its value alone."""
    high_is_good = name in _AT_LEAST
    limit = _AT_LEAST[name] if high_is_good else _AT_MOST[name]
    return Graded(
        figure=name,
        grade=_grade(figure.value, limit, high_is_good=high_is_good),
        acceptable=limit.acceptable,
        marginal=limit.marginal,
        source=limit.source,
    )


def _grade(value: float | None, limit: _Limit, *, high_is_good: bool) -> str:
    if value is None:
        return UNDEFINED
    sign = 1 if high_is_good else -1
    place = (sign * value < sign * limit.acceptable) + (sign * value < sign * limit.marginal)
    return GRADES[place]


def worst_grade(limits: Sequence[Graded]) -> str:
    """Return the worst grade; undefined figures say nothing, unless there is no other."""
    places = [GRADES.index(one.grade) for one in limits if one.grade != UNDEFINED]
    return GRADES[max(places)] if places else UNDEFINED
