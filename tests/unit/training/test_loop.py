import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor

from sihwa.dataset import Manifest
from sihwa.errors import TrainingDiverged
from sihwa.model import cut_network
from sihwa.training import FinetuneConfig, StagesConfig, TrainContext
from sihwa.training.config import LossConfig, MixConfig, OptimizerConfig, SelectionConfig
from sihwa.training.objective import Objective
from tests.unit.training.tiny_training import WAYS, assert_same, config, losses, network_of, trained

GOLDEN = Path(__file__).parents[2] / "golden" / "finetune_loss.json"


@WAYS
def test_train_network_lowers_the_loss_and_logs_each_epoch(
    manifest: Manifest,
    context: TrainContext,
    way: type[FinetuneConfig],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level("INFO", "sihwa"):
        _, result = trained(
            manifest, context, config(way, epochs=6, selection=SelectionConfig(held_out=0.25))
        )
    assert len(losses(result)) == 6
    assert losses(result)[0] == pytest.approx(np.log(2), abs=0.35)
    assert losses(result)[-1] < 0.8 * losses(result)[0]
    lines = [line for line in caplog.messages if line.startswith("epoch ")]
    assert len(lines) == 6
    assert re.fullmatch(
        rf"epoch 6/6: loss {losses(result)[-1]:.4g}, held-out log loss [\d.]+, \d+ images/s, "
        r"0:00:00 left",
        lines[-1],
    )


@WAYS
def test_train_network_same_seed_gives_the_same_weights(
    manifest: Manifest, context: TrainContext, tmp_path: Path, way: type[FinetuneConfig]
) -> None:
    settings = config(way, dropout=0.1, mix=MixConfig(mixup=0.2, cutmix=1.0))
    first, _ = trained(manifest, context, settings)
    torch.rand(7)  # earlier draws of the process must not matter
    second, _ = trained(manifest, replace(context, folder=tmp_path / "again"), settings)
    assert_same(first, second)
    third, _ = trained(manifest, replace(context, folder=tmp_path / "other", seed=1), settings)
    assert not torch.equal(first["classifier.weight"], third["classifier.weight"])


def test_train_network_losses_by_step_equal_the_golden_run(
    manifest: Manifest, context: TrainContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    # of this project's first version, in float32 on an AMD EPYC; other processors round otherwise.
    # The splits are those that it drew
    golden = json.loads(GOLDEN.read_text())
    steps: list[float] = []
    original = Objective.forward

    def noted(self: Objective, logit: Tensor, target: Tensor) -> Tensor:
        loss = original(self, logit, target)
        steps.append(loss.mean().item())
        return loss

    monkeypatch.setattr(Objective, "forward", noted)
    trained(manifest.with_split(golden["split"]), context, config(epochs=4))
    np.testing.assert_allclose(steps, golden["loss"], rtol=5e-3)


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": OptimizerConfig(name="sgd", learning_rate=0.05)},
        {"optimizer": OptimizerConfig(accumulate=2, clip=0), "ema": 0.0},
        {"loss": LossConfig("focal", 1.0, 0.1, 0.9, 1.0), "oversample": 1.0},
        {"mix": MixConfig(cutmix=1.0), "norm": "frozen"},
        {"precision": "bf16"},
    ],
    ids=["sgd", "accumulate, no average", "loss", "cutmix, frozen norms", "bf16"],
)
def test_train_network_each_option_trains(
    manifest: Manifest, context: TrainContext, changes: dict[str, object]
) -> None:
    state, result = trained(manifest, context, config(**changes))  # type: ignore[arg-type]
    assert all(np.isfinite(losses(result)))
    assert all(torch.isfinite(value.float()).all() for value in state.values())
    assert not torch.equal(
        state["classifier.weight"], network_of().state_dict()["classifier.weight"]
    )


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"memory_mib": 0}, id="images in a file"),
        # it forks beside the threads of other tests, which has killed the process
        pytest.param({"workers": 2}, id="worker processes", marks=pytest.mark.slow),
    ],
)
def test_train_network_reading_otherwise_gives_the_same_weights(
    manifest: Manifest, context: TrainContext, tmp_path: Path, changes: dict[str, object]
) -> None:
    first, _ = trained(manifest, context, config())
    other = replace(context, folder=tmp_path / "again")
    second, _ = trained(manifest, other, config(**changes))  # type: ignore[arg-type]
    assert_same(first, second)
    assert list(context.cache_dir.glob(".sihwa*")) == []


def test_train_network_frozen_layers_stay_unchanged(
    manifest: Manifest, context: TrainContext
) -> None:
    before = network_of().state_dict()
    allowed = set(cut_network(network_of(), 0.5).trained.state_dict())
    after, _ = trained(manifest, context, config(trained_share=0.5))
    changed = {name for name in before if not torch.equal(after[name], before[name])}
    assert set() < {name for name in changed if name.startswith("backbone.")} <= allowed


def test_train_network_reads_training_images_only(
    manifest: Manifest, context: TrainContext, tmp_path: Path
) -> None:
    table = manifest.table.to_pandas()
    gone = table["split"] != "train"
    table.loc[gone, "path"] = "gone.png"
    table.loc[gone, "sha256"] = [f"{number:064d}" for number in range(gone.sum())]
    blind = replace(manifest, table=pa.Table.from_pandas(table, manifest.table.schema))
    for way in (FinetuneConfig, StagesConfig):
        trained(blind, replace(context, folder=tmp_path / way.__name__), config(way, epochs=1))


def test_train_network_early_stopping_keeps_the_best(
    manifest: Manifest, context: TrainContext
) -> None:
    settings = config(
        epochs=40,
        optimizer=OptimizerConfig(learning_rate=1e-7),
        selection=SelectionConfig(held_out=0.25, metric="accuracy", patience=2),
    )
    state, result = trained(manifest, context, settings)
    assert len(losses(result)) < 40
    assert "the best of them" in result.summary
    assert result.score is not None
    again, result_again = trained(manifest, context, settings)  # resumed, nothing is left to do
    assert_same(state, again)
    assert result_again == result


@pytest.mark.parametrize("held_out", [0.0, 0.25])
def test_train_network_diverging_is_one_clear_error(
    manifest: Manifest, context: TrainContext, held_out: float
) -> None:
    wild = OptimizerConfig(name="sgd", learning_rate=10, head_rate=1000, clip=0)
    settings = config(epochs=4, optimizer=wild, ema=0, selection=SelectionConfig(held_out=held_out))
    with pytest.raises(TrainingDiverged, match=r"diverged: .*learning_rate"):
        trained(manifest, context, settings)
