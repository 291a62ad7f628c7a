"""Decision: from class probabilities to accept, reject or review."""

from sihwa.decision.config import (
    CostConfig,
    DecisionConfig,
    EscapeBoundConfig,
    EvenOddsConfig,
    SelectiveConfig,
    TopClassConfig,
)
from sihwa.decision.policy import (
    ACCEPT,
    REJECT,
    REVIEW,
    Decision,
    Margin,
    Outcome,
    Policy,
    ThresholdPolicy,
    TopClassPolicy,
    defect_probability,
    is_finite,
)
from sihwa.decision.unknown import far_threshold, fit_unknown, unknown_threshold

__all__ = [
    "ACCEPT",
    "REJECT",
    "REVIEW",
    "CostConfig",
    "Decision",
    "DecisionConfig",
    "EscapeBoundConfig",
    "EvenOddsConfig",
    "Margin",
    "Outcome",
    "Policy",
    "SelectiveConfig",
    "ThresholdPolicy",
    "TopClassConfig",
    "TopClassPolicy",
    "defect_probability",
    "far_threshold",
    "fit_unknown",
    "is_finite",
    "unknown_threshold",
]
