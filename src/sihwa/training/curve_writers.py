"""Where the curves of a training go: TensorBoard, and MLflow if `training.mlflow` names a store."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from sihwa.errors import ConfigError
from sihwa.storage import write_text
from sihwa.training.config import FinetuneConfig
from sihwa.training.context import TrainContext, world

log = logging.getLogger(__name__)

_RUN_ID = "mlflow_run_id"
"""File of the run folder with its MLflow run, so that a resumed training continues that one."""


class _Writer(Protocol):
    name: str

    def write(self, epoch: int, figures: Mapping[str, float]) -> None: ...

    def close(self, status: str) -> None: ...


class CurveWriters:
    """Writes figures by epoch. A writer that fails loses its curves, not the training."""

    def __init__(self, writers: Iterable[_Writer] = ()) -> None:
        self.writers = list(writers)

    def write(self, epoch: int, figures: Mapping[str, float]) -> None:
        """Write one value per figure."""
        for writer in list(self.writers):
            try:
                writer.write(epoch, figures)
            except Exception as error:  # of the disk, the network or the store
                self.writers.remove(writer)
                log.warning("%s gets no more curves: %s", writer.name, _one_line(error))

    def close(self, status: str) -> None:
        """Close all; `status` is MLflow's: FINISHED, FAILED or KILLED."""
        for writer in self.writers:
            try:
                writer.close(status)
            except Exception as error:
                log.warning("%s was not closed: %s", writer.name, _one_line(error))


def open_curve_writers(config: FinetuneConfig, context: TrainContext) -> CurveWriters:
    """Return the writers of this run; only the first process writes.

    Raises:
        ConfigError: MLflow refuses its address.
    """
    if world()[0] > 0:
        return CurveWriters()
    writers: list[_Writer] = [_TensorBoard(context.folder / "tensorboard")]
    if config.mlflow:
        writers.append(_open_mlflow(config, context))
    return CurveWriters(writers)


class _TensorBoard:
    name = "TensorBoard"

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder))  # type: ignore[no-untyped-call]

    def write(self, epoch: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(name, value, epoch)  # type: ignore[no-untyped-call]
        self._writer.flush()  # type: ignore[no-untyped-call]

    def close(self, status: str) -> None:
        del status
        self._writer.close()  # type: ignore[no-untyped-call]


class _MLflow:
    name = "MLflow"

    def __init__(self, address: str, run_id: str | None, run_name: str) -> None:
        from mlflow import MlflowClient

        self._client = MlflowClient(address)
        if run_id is None:
            found = self._client.get_experiment_by_name("sihwa")
            place = found.experiment_id if found else self._client.create_experiment("sihwa")
            run_id = self._client.create_run(place, run_name=run_name).info.run_id
        else:
            self._client.update_run(run_id, status="RUNNING")
        self.run_id = run_id

    def log_settings(self, settings: Mapping[str, Any]) -> None:
        for name, value in settings.items():
            self._client.log_param(self.run_id, name, value)

    def write(self, epoch: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self._client.log_metric(self.run_id, name, value, step=epoch)

    def close(self, status: str) -> None:
        self._client.set_terminated(self.run_id, status)


def _open_mlflow(config: FinetuneConfig, context: TrainContext) -> _MLflow:
    for name in ("mlflow", "alembic"):  # they log every change of their own tables
        logging.getLogger(name).setLevel(logging.WARNING)
    path = context.folder / _RUN_ID
    run_id = path.read_text(encoding="utf-8").strip() if path.is_file() else None
    try:
        writer = _MLflow(config.mlflow, run_id, "/".join(context.folder.parts[-2:]))
        writer.log_settings({"seed": context.seed, **_flat("", asdict(config))})
    except Exception as error:  # of the store, the network, or the database behind it
        raise ConfigError(
            f"training.mlflow: expected the address of an MLflow store, such as "
            f"sqlite:///mlflow.db, got {config.mlflow!r}: {_one_line(error)}"
        ) from error
    write_text(path, writer.run_id)
    return writer


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _flat(prefix: str, settings: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat |= _flat(f"{prefix}{name}.", value)
        else:
            flat[f"{prefix}{name}"] = value
    return flat
