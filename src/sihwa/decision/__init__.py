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
    is_finite,
)
from sihwa.decision.unknown import fit_unknown, unknown_threshold

__all__ = [
    "ACCEPT",
    "REJECT",
    "REVIEW",
    "Decision",
    "DecisionConfig",
    "Margin",
    "Outcome",
    "TopClassPolicy",
    "fit_unknown",
    "is_finite",
    "unknown_threshold",
]
