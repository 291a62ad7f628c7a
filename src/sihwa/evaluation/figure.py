"""One figure with its confidence interval."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One figure with its confidence interval, or the reason why it is undefined."""

    value: float | None
    """The point estimate; None where it is undefined."""
    low: float | None
    """Lower end of the interval."""
    high: float | None
    """Upper end of the interval."""
    method: str
    """How the interval was computed, e.g. 'exact (Clopper-Pearson)'."""
    confidence: float
    """Two-sided confidence of the interval, in (0, 1)."""
    count: int
    """Number of images; the denominator of a rate."""
    occurrences: int | None = None
    """The numerator of a rate; None for other figures."""
    reason: str | None = None
    """Why the figure is undefined; None where it is defined."""

    def as_dict(self) -> dict[str, Any]:
        """Return the figure as JSON values; an undefined figure is null, never NaN.

        >>> Figure(value=None, low=None, high=None, method="exact (Clopper-Pearson)",
        ...        confidence=0.95, count=0, reason="never predicted").as_dict()["value"] is None
        True
        """
        return asdict(self)
