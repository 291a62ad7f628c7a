"""Figures with intervals, from arrays of probabilities and labels."""

from sihwa.evaluation.config import EvaluationConfig
from sihwa.evaluation.confusion import balanced_accuracy, confusion_matrix, macro_f1
from sihwa.evaluation.decided import DecisionFigures, PartFigures, measure_decisions
from sihwa.evaluation.dependence import Dependence, measure_dependence
from sihwa.evaluation.evaluation import Evaluation, Truth, evaluate
from sihwa.evaluation.group_proposal import Proposal, propose_groups
from sihwa.evaluation.grouped import (
    cautious_upper_bound,
    group_index,
    grouped_interval,
    grouped_upper_bound,
)
from sihwa.evaluation.intervals import Figure, clopper_pearson, images_to_prove, upper_bound
from sihwa.evaluation.mcnemar import PairedTest, mcnemar
from sihwa.evaluation.probability import (
    ReliabilityBin,
    fit_temperature,
    log_loss,
    reliability_bins,
    softmax,
)
from sihwa.evaluation.rate_change import rate_change
from sihwa.evaluation.rates import Rates
from sihwa.evaluation.similarity import KnownGroups, Similarity, check_similarity

__all__ = [
    "DecisionFigures",
    "Dependence",
    "Evaluation",
    "EvaluationConfig",
    "Figure",
    "KnownGroups",
    "PairedTest",
    "PartFigures",
    "Proposal",
    "Rates",
    "ReliabilityBin",
    "Similarity",
    "Truth",
    "balanced_accuracy",
    "cautious_upper_bound",
    "check_similarity",
    "clopper_pearson",
    "confusion_matrix",
    "evaluate",
    "fit_temperature",
    "group_index",
    "grouped_interval",
    "grouped_upper_bound",
    "images_to_prove",
    "log_loss",
    "macro_f1",
    "mcnemar",
    "measure_decisions",
    "measure_dependence",
    "propose_groups",
    "rate_change",
    "reliability_bins",
    "softmax",
    "upper_bound",
]
