"""What arrived is read back by MLflow's own client."""

from pathlib import Path

import mlflow
import pytest

from sihwa.dataset import Manifest
from sihwa.errors import ConfigError
from sihwa.training import FinetuneConfig, TrainContext
from sihwa.training.curve_writers import open_curves
from tests.unit.training.tiny_training import WAYS, config, losses, trained

# MLflow's own use of its database library
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


def test_mlflow_gets_settings_and_every_epoch(
    manifest: Manifest, context: TrainContext, store: str
) -> None:
    _, result = trained(manifest, context, config(epochs=2, mlflow=store))
    client = mlflow.MlflowClient(store)
    run = client.get_run((context.folder / "mlflow_run_id").read_text())
    assert run.info.status == "FINISHED"
    assert run.data.params["optimizer.learning_rate"] == "0.001"
    assert run.data.params["seed"] == "0"
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [metric.step for metric in history] == [1, 2]
    assert [metric.value for metric in history] == pytest.approx(losses(result))


def test_open_curves_resumed_run_continues_its_mlflow_run(
    context: TrainContext, store: str
) -> None:
    for _ in range(2):
        with open_curves(config(mlflow=store), context):
            pass
    client = mlflow.MlflowClient(store)
    experiment = client.get_experiment_by_name("sihwa")
    assert experiment is not None
    assert len(client.search_runs([experiment.experiment_id])) == 1


@WAYS
def test_train_network_wrong_mlflow_address_is_refused_before_any_work(
    manifest: Manifest,
    context: TrainContext,
    monkeypatch: pytest.MonkeyPatch,
    way: type[FinetuneConfig],
) -> None:
    monkeypatch.setattr("sihwa.training.finetune.hold_out", pytest.fail)
    with pytest.raises(ConfigError, match=r"training\.mlflow: expected the address .*'nowhere:/x'"):
        trained(manifest, context, config(way, mlflow="nowhere:/x"))


def test_train_network_continues_if_the_store_fails_later(
    manifest: Manifest,
    context: TrainContext,
    store: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("the server is gone")

    monkeypatch.setattr(mlflow.MlflowClient, "log_metric", fail)
    _, result = trained(manifest, context, config(epochs=2, mlflow=store))
    assert len(losses(result)) == 2
    [record] = [one for one in caplog.messages if "MLflow gets no more curves" in one]
    assert record.endswith("the server is gone")
