"""One training run, from its config to the inspector and the report; folds and sweeps of runs."""

from sihwa.run.config import TrainConfig
from sihwa.run.run import TrainedRun, train_inspector

__all__ = ["TrainConfig", "TrainedRun", "train_inspector"]
