"""A finding of the audit: what could make the figures of a data set wrong, and what to do."""

from collections.abc import Iterable
from dataclasses import dataclass, field

SEVERITIES = ("severe", "warning", "note")
"""`severe`: figures or labels are wrong. `warning`: they may be. `note`: worth knowing."""


@dataclass(frozen=True, kw_only=True)
class Marked:
    """An image of a finding."""

    path: str
    label: str
    place: int = 0
    """Images of one place belong side by side."""
    note: str = ""
    """Caption of the image, a few words."""
    suggested_label: str | None = None
    """The label that it may have instead."""
    exclude: bool = False
    """Whether leaving the image out would settle the finding."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one detector found."""

    kind: str
    """In a few words, the same for all findings of a kind: `identical images, two labels`."""
    severity: str
    """One of SEVERITIES."""
    message: str
    """What was found, one sentence with its figures, without a full stop."""
    advice: str
    """What to do, one sentence without a full stop."""
    figure: float | None = None
    """The figure that ranks it among findings of its severity, such as a share or an accuracy."""
    images: tuple[Marked, ...] = field(default=(), repr=False)
    """The images concerned, the clearest first; empty if it concerns all."""

    @property
    def line(self) -> str:
        """The finding as one line."""
        return f"{self.severity}: {self.kind}: {self.message}. {self.advice}"


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings by severity, those with the larger figure first."""
    return sorted(findings, key=lambda one: (SEVERITIES.index(one.severity), -(one.figure or 0.0)))
