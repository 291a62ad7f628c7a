"""Settings of the decision."""

from dataclasses import dataclass

from sihwa.errors import check_settings


@dataclass
class DecisionConfig:
    """The rule that turns probabilities into accept, reject or review."""

    name: str = "???"
    """Name of the option, as shown in reports."""
    unknown_rate: float = 0.01
    """Share of ordinary images that may be sent to review as unknown, in [0, 1); 0 sends none."""

    def __post_init__(self) -> None:
        check_settings("decision.", self, unknown_rate="[0, 1)")
