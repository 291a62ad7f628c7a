"""Figures with intervals, from arrays of probabilities and labels."""

from sihwa.evaluation.config import EvaluationConfig
from sihwa.evaluation.confusion import (
    accuracy,
    balanced_accuracy,
    confusion_matrix,
    macro_f1,
    precision,
    recall,
)
from sihwa.evaluation.evaluation import Evaluation, evaluate
from sihwa.evaluation.figure import Figure
from sihwa.evaluation.intervals import clopper_pearson, upper_bound
from sihwa.evaluation.probability import (
    ReliabilityBin,
    expected_calibration_error,
    fit_temperature,
    log_loss,
    reliability_bins,
    softmax,
)

__all__ = [
    "Evaluation",
    "EvaluationConfig",
    "Figure",
    "ReliabilityBin",
    "accuracy",
    "balanced_accuracy",
    "clopper_pearson",
    "confusion_matrix",
    "evaluate",
    "expected_calibration_error",
    "fit_temperature",
    "log_loss",
    "macro_f1",
    "precision",
    "recall",
    "reliability_bins",
    "softmax",
    "upper_bound",
]
