"""The workshop: one training run from settings to a proven inspector and its report."""

from sihwa.workshop.config import EvaluationConfig, ExportConfig, TrainConfig
from sihwa.workshop.train import TrainedRun, train_inspector

__all__ = ["EvaluationConfig", "ExportConfig", "TrainConfig", "TrainedRun", "train_inspector"]
