"""The figures of an inspector now, against those of its training run."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from sihwa.evaluation import Evaluation, Figure, rate_change
from sihwa.qualification.paired import LEVEL

_OF_DECISIONS = ("escapes", "overkill", "review", "errors")


@dataclass(frozen=True)
class Change:
    """One figure of the training run and the same figure now."""

    name: str
    """`escapes`, `overkill`, `review`, `errors` or `accuracy`."""
    then: Figure
    now: Figure
    p_value: float | None
    """Of the test that nothing has changed; None if one of the two is undefined."""

    @property
    def verdict(self) -> str:
        """Tell what has changed, in plain words."""
        if self.p_value is None:
            return self.now.reason or self.then.reason or "undefined"
        if self.p_value > LEVEL:
            return "as before"
        has_risen = (self.now.value or 0.0) > (self.then.value or 0.0)
        better = "better" if has_risen == (self.name == "accuracy") else "worse"
        return f"{better} than before (p = {self.p_value:.2g})"

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "figure": self.name,
            "then": asdict(self.then),
            "now": asdict(self.now),
            "p_value": self.p_value,
            "verdict": self.verdict,
        }


def compare_with_training(evaluation: Evaluation, metrics: Mapping[str, Any]) -> list[Change]:
    """Compare the figures with those that a card states of the training run.

    Args:
        evaluation: Of the images now.
        metrics: Of the card; what is missing or no figure in it is left out.
    """
    decided = metrics.get("decisions")
    stated = decided.get("figures") if isinstance(decided, dict) else None
    top = metrics.get("figures")
    named = [(name, stated, evaluation.decisions) for name in _OF_DECISIONS]
    changes = []
    for name, figures, source in (*named, ("accuracy", top, evaluation)):
        then = read_figure(figures.get(name)) if isinstance(figures, dict) else None
        now: Figure | None = getattr(source, name, None)
        if then is not None and now is not None:
            changes.append(Change(name, then, now, rate_change(then, now)))
    return changes


def read_figure(content: object) -> Figure | None:
    """Return a rate as `metrics.json` and a card hold it; None if it is none."""
    try:
        figure = msgspec.convert(content, Figure)
    except msgspec.ValidationError:
        return None
    value, low, high, hits = figure.value, figure.low, figure.high, figure.occurrences
    if value is None:
        return figure
    if low is None or high is None or hits is None or not 0 < figure.confidence < 1:
        return None
    is_rate = 0 <= hits <= figure.count > 0 and abs(value - hits / figure.count) < 1e-6
    return figure if is_rate and 0 <= low <= value <= high <= 1 else None
