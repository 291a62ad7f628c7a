"""Figures with intervals, from arrays of probabilities and labels."""

from sihwa.evaluation.config import EvaluationConfig
from sihwa.evaluation.confusion import balanced_accuracy, confusion_matrix, macro_f1
from sihwa.evaluation.evaluation import Evaluation, evaluate
from sihwa.evaluation.intervals import Figure, clopper_pearson, upper_bound
from sihwa.evaluation.probability import (
    ReliabilityBin,
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
    "balanced_accuracy",
    "clopper_pearson",
    "confusion_matrix",
    "evaluate",
    "fit_temperature",
    "log_loss",
    "macro_f1",
    "reliability_bins",
    "softmax",
    "upper_bound",
]
