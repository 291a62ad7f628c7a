"""Where the curves of a training go as they grow: TensorBoard, and MLflow if it is asked for."""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger

from sihwa.errors import ConfigError
from sihwa.storage import write_text
from sihwa.training.context import TrainContext, world
from sihwa.training.finetune_config import FinetuneConfig

log = logging.getLogger(__name__)

_RUN_ID = "mlflow_run_id"
"""File of the run folder that names its run in MLflow, so that a resumed one goes on there."""


def create_loggers(config: FinetuneConfig, work: TrainContext) -> list[Logger]:
    """Return what Lightning logs to.

    Raises:
        ConfigError: MLflow does not take its address.
    """
    loggers: list[Logger] = [TensorBoardLogger(work.folder, name="", version="tensorboard")]
    if config.mlflow and world()[0] == 0:
        loggers.append(_create_mlflow(config, work))
    return loggers


def _create_mlflow(config: FinetuneConfig, work: TrainContext) -> Logger:
    place = work.folder / _RUN_ID
    for name in ("mlflow", "alembic"):  # what they do to their own tables is no news of a training
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        logger = _Patient(
            experiment_name="sihwa",
            run_name="/".join(work.folder.parts[-2:]),
            tracking_uri=config.mlflow,
            run_id=_read(place),
        )
        logger.log_hyperparams({"seed": work.seed, **_flat("", asdict(config))})
    except Exception as error:  # of the store, the network, or the database behind it
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"training.mlflow: expected the address of a store that takes runs, such as "
            f"sqlite:///mlflow.db, got {config.mlflow!r}: {reason}"
        ) from error
    if logger.run_id:
        write_text(place, logger.run_id)
    return logger


class _Patient(MLFlowLogger):
    """A store that fails later costs its curves, not the training."""

    lost = False

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log, until the store fails."""
        if self.lost:
            return
        try:
            super().log_metrics(metrics, step)
        except Exception as error:  # of the store, the network, or the database behind it
            self.lost = True
            reason = " ".join(str(error).split())[:200]
            log.warning("MLflow gets no more curves of this run, which goes on: %s", reason)

    def finalize(self, status: str = "success") -> None:
        """Close the run in MLflow, unless the store failed."""
        if not self.lost:
            super().finalize(status)


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8").strip() if path.is_file() else None


def _flat(prefix: str, settings: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat |= _flat(f"{prefix}{name}.", value)
        else:
            flat[f"{prefix}{name}"] = value
    return flat
