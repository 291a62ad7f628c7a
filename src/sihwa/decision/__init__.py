"""Decision: from class probabilities to accept, reject or review."""

from sihwa.decision.config import DecisionConfig
from sihwa.decision.policy import (
    ACCEPT,
    REJECT,
    REVIEW,
    Decision,
    Margin,
    Outcome,
    TopClassPolicy,
    are_numbers,
)
from sihwa.decision.unknown import unknown_threshold

__all__ = [
    "ACCEPT",
    "REJECT",
    "REVIEW",
    "Decision",
    "DecisionConfig",
    "Margin",
    "Outcome",
    "TopClassPolicy",
    "are_numbers",
    "unknown_threshold",
]
