"""A training run from its config to the inspector and the report; folds and sweeps of runs."""

from sihwa.run.config import TrainConfig
from sihwa.run.run import Run
from sihwa.run.run_report import RunResult

__all__ = ["Run", "RunResult", "TrainConfig"]
