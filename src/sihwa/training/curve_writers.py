"""Where the curves of a training go: TensorBoard, and MLflow if `training.mlflow` names a store."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from sihwa.errors import ConfigError
from sihwa.storage import write_text
from sihwa.training.config import FinetuneConfig
from sihwa.training.train import TrainContext, world

log = logging.getLogger(__name__)

_RUN_ID = "mlflow_run_id"
"""File of the run folder with its MLflow run, so that a resumed training continues that one."""


WriteCurves = Callable[[int, Mapping[str, float]], None]
"""Takes the number of an epoch, from 1, and one value per figure."""


@contextlib.contextmanager
def open_curves(config: FinetuneConfig, context: TrainContext) -> Iterator[WriteCurves]:
    """Give a function that writes the figures of each epoch; only the first process writes.

    Raises:
        ConfigError: MLflow refuses its address.
    """
    if world()[0] > 0:
        yield lambda *_: None
        return
    from torch.utils.tensorboard import SummaryWriter  # slow to import

    store = _MLflow(config, context) if config.mlflow else None
    board = SummaryWriter(str(context.folder / "tensorboard"))

    def write(epoch: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            board.add_scalar(name, value, epoch)
            if store:
                store.send("log_metric", name, value, step=epoch)
        board.flush()

    status = "FAILED"
    try:
        yield write
        status = "FINISHED"
    finally:
        board.close()
        if store:
            store.send("set_terminated", status)


class _MLflow:
    """A store that fails while training loses its curves, not the training."""

    def __init__(self, config: FinetuneConfig, context: TrainContext) -> None:
        from mlflow import MlflowClient

        for name in ("mlflow", "alembic"):  # they log every change of their own tables
            logging.getLogger(name).setLevel(logging.WARNING)
        path = context.folder / _RUN_ID
        self._lost = False
        try:
            self._client = MlflowClient(config.mlflow)
            if path.is_file():
                self.run_id = path.read_text(encoding="utf-8").strip()
                self._client.update_run(self.run_id, status="RUNNING")
            else:
                self.run_id = _create_run(self._client, "/".join(context.folder.parts[-2:]))
            for name, value in {"seed": context.seed, **_flat("", asdict(config))}.items():
                self._client.log_param(self.run_id, name, value)
        except Exception as error:  # of the store, the network, or the database behind it
            raise ConfigError(
                f"training.mlflow: expected the address of an MLflow store, such as "
                f"sqlite:///mlflow.db, got {config.mlflow!r}: {_one_line(error)}"
            ) from error
        write_text(path, self.run_id)

    def send(self, method: str, *values: object, **more: object) -> None:
        if self._lost:
            return
        try:
            getattr(self._client, method)(self.run_id, *values, **more)
        except Exception as error:
            self._lost = True
            log.warning("MLflow gets no more curves of this run: %s", _one_line(error))


def _create_run(client: Any, name: str) -> str:  # noqa: ANN401 -- an MlflowClient
    found = client.get_experiment_by_name("sihwa")
    experiment = found.experiment_id if found else client.create_experiment("sihwa")
    return str(client.create_run(experiment, run_name=name).info.run_id)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _flat(prefix: str, settings: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        inner = isinstance(value, dict)
        flat |= _flat(f"{prefix}{name}.", value) if inner else {f"{prefix}{name}": value}
    return flat
