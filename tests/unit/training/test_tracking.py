"""MLflow's own reader says what arrived."""

from pathlib import Path

import mlflow
import pytest
from lightning.pytorch.loggers import MLFlowLogger

from sihwa.dataset import Manifest
from sihwa.errors import ConfigError
from sihwa.training import (
    FinetuneConfig,
    TrainContext,
    TrainResult,
    finetune_config,
    tracking,
    train_network,
)
from tests.unit.training.test_finetune import WAYS, config, network_of

# MLflow's own use of its database library
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")


def train(manifest: Manifest, work: TrainContext, settings: FinetuneConfig) -> TrainResult:
    return train_network(network_of(), manifest, settings, work)


def test_train_network_mlflow_gets_settings_and_every_epoch(
    manifest: Manifest, work: TrainContext, tmp_path: Path
) -> None:
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    fit = train(manifest, work, config(epochs=2, mlflow=store))
    client = mlflow.MlflowClient(store)
    [experiment] = [e for e in client.search_experiments() if e.name == "sihwa"]
    [run] = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["optimizer.learning_rate"] == "0.001"
    assert run.data.params["seed"] == "0"
    [loss] = [curve.value for curve in fit.curves if curve.name == "loss"]
    logged = [metric.value for metric in client.get_metric_history(run.info.run_id, "loss")]
    assert logged == pytest.approx(loss)
    assert (work.folder / "mlflow_run_id").read_text() == run.info.run_id


def test_create_loggers_resumed_run_goes_on_in_its_own_mlflow_run(
    work: TrainContext, tmp_path: Path
) -> None:
    settings = config(mlflow=f"sqlite:///{tmp_path / 'mlflow.db'}")
    first, again = (tracking.create_loggers(settings, work)[1] for _ in range(2))
    assert first.version == again.version is not None


def test_create_loggers_address_that_is_none_is_one_clear_error(work: TrainContext) -> None:
    with pytest.raises(ConfigError, match=r"training\.mlflow: expected the address .*'nowhere:/x'"):
        tracking.create_loggers(config(mlflow="nowhere:/x"), work)


@WAYS
def test_train_network_mlflow_address_that_is_none_is_said_before_any_work(
    manifest: Manifest,
    work: TrainContext,
    monkeypatch: pytest.MonkeyPatch,
    way: type[FinetuneConfig],
) -> None:
    def work_in_vain(*_: object, **__: object) -> None:
        pytest.fail("images were decoded for a run that cannot begin")

    for module in ("finetune", "stages"):
        monkeypatch.setattr(f"sihwa.training.{module}.decode_images", work_in_vain)
    settings = config(way, mlflow="nowhere:/x")
    with pytest.raises(ConfigError, match=r"training\.mlflow: expected the address"):
        train(manifest, work, settings)


def test_finetune_config_without_mlflow_says_what_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(finetune_config, "find_spec", lambda _: None)
    config()
    with pytest.raises(ConfigError, match=r'pip install "sihwa\[mlflow\]"'):
        config(mlflow="sqlite:///x.db")


def test_train_network_goes_on_when_the_store_fails_later(
    manifest: Manifest,
    work: TrainContext,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object) -> None:
        raise OSError("the server is gone")

    monkeypatch.setattr(MLFlowLogger, "log_metrics", fail)
    fit = train(manifest, work, config(epochs=2, mlflow=f"sqlite:///{tmp_path / 'mlflow.db'}"))
    assert [len(curve.value) for curve in fit.curves if curve.name == "loss"] == [2]
    [record] = [one for one in caplog.records if "MLflow gets no more curves" in one.message]
    assert record.message.endswith("the server is gone")
