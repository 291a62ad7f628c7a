import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from sihwa.dataset import Manifest
from sihwa.errors import ConfigError, StorageError, TooFewImages, TrainingDiverged
from sihwa.model import Network, create_network, split_network
from sihwa.training import FinetuneConfig, StagesConfig, TrainContext, TrainResult, train_network
from sihwa.training.batches import Batch
from sihwa.training.checkpoint import KeepLast
from sihwa.training.epoch_record import held_out_metrics
from sihwa.training.finetune import divide_training
from sihwa.training.finetune_config import (
    LossConfig,
    MixConfig,
    OptimizerConfig,
    SelectionConfig,
)
from sihwa.training.learner import Head, Learner, parameter_groups
from tests.helpers import tiny_config

GOLDEN = Path(__file__).parents[2] / "golden" / "finetune_loss.json"


def config(way: type[FinetuneConfig] = FinetuneConfig, **changes: object) -> FinetuneConfig:
    given = {"name": "test", "epochs": 3, "batch_size": 8, "precision": "fp32", "start": "zero"}
    if way is StagesConfig:
        given |= {"trained_share": 0.5, "views": 3}
    return way(**{**given, **changes})  # type: ignore[arg-type]


def network_of(stages: int = 0) -> Network:
    return create_network(tiny_config(stages=stages), 2, seed=0)


def trained(
    manifest: Manifest, work: TrainContext, settings: FinetuneConfig
) -> tuple[dict[str, Tensor], TrainResult]:
    network = network_of()
    fit = train_network(network, manifest, settings, work)
    return network.state_dict(), fit


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert {name for name in one if not torch.equal(one[name], other[name])} == set()


def losses(fit: TrainResult) -> tuple[float, ...]:
    return next(curve.value for curve in fit.curves if curve.name == "loss")


WAYS = pytest.mark.parametrize("way", [FinetuneConfig, StagesConfig], ids=["finetune", "stages"])


@WAYS
def test_train_network_lowers_the_loss(
    manifest: Manifest, work: TrainContext, way: type[FinetuneConfig]
) -> None:
    _, fit = trained(manifest, work, config(way, epochs=6))
    assert len(losses(fit)) == 6
    assert losses(fit)[0] == pytest.approx(np.log(2), abs=0.35)
    assert losses(fit)[-1] < 0.7 * losses(fit)[0]


@WAYS
def test_train_network_same_seed_same_weights_to_the_bit(
    manifest: Manifest, work: TrainContext, tmp_path: Path, way: type[FinetuneConfig]
) -> None:
    settings = config(way, dropout=0.1, mix=MixConfig(mixup=0.2, cutmix=1.0))
    first, _ = trained(manifest, work, settings)
    torch.rand(7)  # what the process drew before does not matter
    second, _ = trained(manifest, replace(work, folder=tmp_path / "again"), settings)
    assert_same(first, second)
    third, _ = trained(manifest, replace(work, folder=tmp_path / "other", seed=1), settings)
    assert not torch.equal(first["classifier.weight"], third["classifier.weight"])


class Killed(Exception):
    pass


@pytest.fixture(params=["before the checkpoint", "after the checkpoint"])
def killer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """End the training in the epochs listed, once each."""
    epochs: list[int] = []
    original = KeepLast.on_train_epoch_end

    def kill(self: KeepLast, trainer: Trainer, module: LightningModule) -> None:
        if trainer.current_epoch not in epochs:
            return original(self, trainer, module)
        epochs.remove(trainer.current_epoch)
        if request.param == "after the checkpoint":
            original(self, trainer, module)
        raise Killed

    monkeypatch.setattr(KeepLast, "on_train_epoch_end", kill)
    return iter([epochs])


@WAYS
def test_train_network_killed_and_resumed_equals_the_uninterrupted_run(
    manifest: Manifest,
    work: TrainContext,
    tmp_path: Path,
    way: type[FinetuneConfig],
    killer: Iterator[list[int]],
) -> None:
    settings = config(
        way,
        epochs=5,
        dropout=0.1,
        mix=MixConfig(mixup=0.2),
        selection=SelectionConfig(held_out=0.25, metric="log_loss"),
        oversample=0.5,
    )
    whole, fit = trained(manifest, replace(work, folder=tmp_path / "whole"), settings)
    next(killer).extend([0, 2, 3])
    for _ in range(3):
        with pytest.raises(Killed):
            trained(manifest, work, settings)
    resumed, fit_resumed = trained(manifest, work, settings)
    assert_same(whole, resumed)
    assert fit_resumed == fit
    again, _ = trained(manifest, work, settings)  # of a finished training nothing is done again
    assert_same(whole, again)


@WAYS
def test_train_network_killed_after_its_last_epoch_keeps_the_averaged_weights(
    manifest: Manifest,
    work: TrainContext,
    tmp_path: Path,
    way: type[FinetuneConfig],
    killer: Iterator[list[int]],
) -> None:
    settings = config(way, epochs=3)
    whole, _ = trained(manifest, replace(work, folder=tmp_path / "whole"), settings)
    next(killer).append(2)
    with pytest.raises(Killed):
        trained(manifest, work, settings)
    resumed, _ = trained(manifest, work, settings)
    assert_same(whole, resumed)


def test_train_network_losses_by_step_are_those_of_the_golden_run(
    manifest: Manifest, work: TrainContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    # of this project's first version, in float32 on an AMD EPYC: a change that claims no effect
    # keeps them; other processors round otherwise
    steps: list[float] = []
    original = Learner.training_step

    def noted(self: Learner, batch: Batch, index: int) -> Tensor:
        loss = original(self, batch, index)
        steps.append(loss.item())
        return loss

    monkeypatch.setattr(Learner, "training_step", noted)
    trained(manifest, work, config(epochs=4))
    np.testing.assert_allclose(steps, json.loads(GOLDEN.read_text())["loss"], rtol=5e-3)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"optimizer": OptimizerConfig(name="sgd", learning_rate=0.05)}, id="sgd"),
        pytest.param({"optimizer": OptimizerConfig(accumulate=2, clip=0)}, id="accumulate"),
        pytest.param({"ema": 0.0}, id="no average"),
        pytest.param({"trained_share": 0.5}, id="last blocks"),
        pytest.param({"loss": LossConfig(0.1, 1.0, 0.9, 1.0)}, id="loss"),
        pytest.param({"mix": MixConfig(cutmix=1.0)}, id="cutmix"),
        pytest.param({"oversample": 1.0}, id="oversample"),
        pytest.param({"norm": "frozen"}, id="frozen norms"),
        pytest.param({"memory_mib": 0}, id="images in a file"),
        # it forks beside the threads of other tests, which has killed the process
        pytest.param({"workers": 1}, id="worker process", marks=pytest.mark.slow),
        pytest.param({"precision": "bf16"}, id="bf16"),
    ],
)
def test_train_network_each_option_trains(
    manifest: Manifest, work: TrainContext, changes: dict[str, object]
) -> None:
    state, fit = trained(manifest, work, config(**changes))  # type: ignore[arg-type]
    assert all(np.isfinite(losses(fit)))
    assert all(torch.isfinite(value.float()).all() for value in state.values())
    assert not torch.equal(
        state["classifier.weight"], network_of().state_dict()["classifier.weight"]
    )


def test_train_network_images_in_a_file_train_alike_and_leave_none(
    manifest: Manifest, work: TrainContext, tmp_path: Path
) -> None:
    first, _ = trained(manifest, work, config())
    other = replace(work, folder=tmp_path / "again")
    second, _ = trained(manifest, other, config(memory_mib=0))
    assert_same(first, second)
    assert list(work.cache_dir.glob(".sihwa*")) == []


@pytest.mark.slow  # it forks: threads that other tests left in this process have killed it once
def test_train_network_worker_processes_train_alike(
    manifest: Manifest, work: TrainContext, tmp_path: Path
) -> None:
    first, _ = trained(manifest, work, config())
    second, _ = trained(manifest, replace(work, folder=tmp_path / "again"), config(workers=2))
    assert_same(first, second)


def test_train_network_last_blocks_leave_the_trunk_as_it_was(
    manifest: Manifest, work: TrainContext
) -> None:
    network = network_of()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    tail = {name for name, _ in split_network(network, 0.5).tail.state_dict(keep_vars=True).items()}
    train_network(network, manifest, config(trained_share=0.5), work)
    changed = {
        name for name, value in network.state_dict().items() if not torch.equal(value, before[name])
    }
    assert {name for name in changed if name.startswith("backbone.")} <= tail
    assert any(name.startswith("backbone.") for name in changed)


def test_train_network_looks_at_training_images_alone(
    manifest: Manifest, work: TrainContext, tmp_path: Path
) -> None:
    # a manifest whose calibration and test images are gone from the disk trains all the same
    table = manifest.table.to_pandas()
    gone = table["split"] != "train"
    table.loc[gone, "path"] = "gone.png"
    table.loc[gone, "sha256"] = [f"{number:064d}" for number in range(gone.sum())]
    blind = replace(manifest, table=pa.Table.from_pandas(table, manifest.table.schema))
    for way in (FinetuneConfig, StagesConfig):
        folder = tmp_path / way.__name__
        trained(blind, replace(work, folder=folder), config(way, epochs=1))


def test_train_network_early_stopping_ends_and_keeps_the_best(
    manifest: Manifest, work: TrainContext
) -> None:
    settings = config(
        epochs=40,
        optimizer=OptimizerConfig(learning_rate=1e-7),
        selection=SelectionConfig(held_out=0.25, metric="accuracy", patience=2),
    )
    state, fit = trained(manifest, work, settings)
    assert len(losses(fit)) < 40
    assert "the best of them" in fit.summary
    assert fit.score is not None
    again, fit_again = trained(manifest, work, settings)  # resumed, it is as finished as before
    assert_same(state, again)
    assert fit_again == fit


def test_train_network_interrupted_is_an_interrupt_and_leaves_ctrl_c_alone(
    manifest: Manifest, work: TrainContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Learner, "training_step", interrupt)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        trained(manifest, work, config())
    assert signal.getsignal(signal.SIGINT) == before


@pytest.mark.parametrize(
    "content", [b"no checkpoint" * 100, b"hello world\n", b"", b"\x80\x02", {"epoch": 3}, [1, 2]]
)
def test_train_network_damaged_checkpoint_is_one_clear_error(
    manifest: Manifest, work: TrainContext, content: object
) -> None:
    path = work.folder / "checkpoints" / "last.ckpt"
    path.parent.mkdir(parents=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(StorageError, match=r"last\.ckpt: not a checkpoint .* delete it"):
        trained(manifest, work, config())


def test_train_network_checkpoint_that_cannot_be_read_is_not_to_be_deleted(
    manifest: Manifest, work: TrainContext
) -> None:
    (work.folder / "checkpoints" / "last.ckpt").mkdir(parents=True)
    with pytest.raises(StorageError, match=r"^cannot read .*last\.ckpt: Is a directory$"):
        trained(manifest, work, config())


def test_train_network_checkpoint_of_another_network_is_one_clear_error(
    manifest: Manifest, work: TrainContext
) -> None:
    trained(manifest, work, config(epochs=1))
    path = work.folder / "checkpoints" / "last.ckpt"
    state = torch.load(path, weights_only=True)
    name = next(name for name, tensor in state["state_dict"].items() if tensor.ndim > 1)
    state["state_dict"][name] = state["state_dict"][name][:1]
    torch.save(state, path)
    with pytest.raises(StorageError, match=r"last\.ckpt: .* of another network; delete it"):
        trained(manifest, work, config(epochs=2))


Change = Callable[[dict[str, Any]], object]


def _of_record(state: dict[str, Any]) -> dict[str, Any]:
    record: dict[str, Any] = state["callbacks"]["Record"]
    return record


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda state: state.update(loops={}), id="no loops"),
        pytest.param(lambda state: state.update(loops=None), id="loops of none"),
        pytest.param(lambda state: state["loops"].pop("fit_loop"), id="no fit loop"),
        pytest.param(lambda state: state.update(callbacks={}), id="no callbacks"),
        pytest.param(lambda state: state["callbacks"].pop("WeightAveraging"), id="no average"),
        pytest.param(lambda state: state.update(optimizer_states=[]), id="no optimiser"),
        pytest.param(
            lambda state: state["optimizer_states"][0].update(param_groups=[]), id="no groups"
        ),
        pytest.param(lambda state: state.update(lr_schedulers=[None]), id="schedule of none"),
        pytest.param(
            lambda state: state.update({"pytorch-lightning_version": "zzz"}), id="no version"
        ),
        pytest.param(
            lambda state: state["state_dict"].update(
                {name: value.double() for name, value in state["state_dict"].items()}
            ),
            id="other precision",
        ),
        pytest.param(lambda state: _of_record(state).update(curve={"loss": ["x"]}), id="text"),
        pytest.param(lambda state: _of_record(state)["curve"]["loss"].pop(), id="shorter curve"),
        pytest.param(lambda state: state["callbacks"].update(Record=[]), id="a list"),
        *(
            pytest.param(
                lambda state, epoch=epoch: state["loops"]["fit_loop"]["epoch_progress"][
                    "current"
                ].update(processed=epoch, completed=epoch),
                id=f"epoch {epoch}",
            )
            for epoch in (-7, 10**9)
        ),
    ],
)
def test_train_network_changed_checkpoint_is_one_clear_error(
    manifest: Manifest, work: TrainContext, change: Change
) -> None:
    trained(manifest, work, config(epochs=1))
    path = work.folder / "checkpoints" / "last.ckpt"
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, path)
    with pytest.raises(StorageError, match=r"last\.ckpt: not a checkpoint .* delete it"):
        trained(manifest, work, config(epochs=2))


@pytest.mark.skipif(os.name != "posix", reason="needs a named pipe")
def test_train_network_checkpoint_that_is_a_pipe_is_not_waited_for(
    manifest: Manifest, work: TrainContext
) -> None:
    path = work.folder / "checkpoints" / "last.ckpt"
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    with pytest.raises(StorageError, match="it is no plain file; delete it"):
        trained(manifest, work, config())


@pytest.mark.parametrize("held_out", [0.0, 0.25])
def test_train_network_that_diverges_is_one_clear_error(
    manifest: Manifest, work: TrainContext, held_out: float
) -> None:
    wild = OptimizerConfig(name="sgd", learning_rate=10, head_rate=1000, clip=0)
    settings = config(epochs=4, optimizer=wild, ema=0, selection=SelectionConfig(held_out=held_out))
    with pytest.raises(TrainingDiverged, match=r"diverged: .* with a smaller .*learning_rate"):
        trained(manifest, work, settings)


def test_train_network_weights_that_are_no_numbers_are_not_kept(
    manifest: Manifest, work: TrainContext
) -> None:
    trained(manifest, work, config(epochs=1, ema=0))
    path = work.folder / "checkpoints" / "last.ckpt"
    state = torch.load(path, weights_only=True)
    for value in state["state_dict"].values():
        if value.is_floating_point():
            value.fill_(float("nan"))
    torch.save(state, path)
    with pytest.raises(TrainingDiverged, match="its weights are no numbers"):
        trained(manifest, work, config(epochs=1, ema=0))


def test_train_network_checkpoint_that_would_run_code_is_refused(
    manifest: Manifest, work: TrainContext, tmp_path: Path
) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "ran",)

    path = work.folder / "checkpoints" / "last.ckpt"
    path.parent.mkdir(parents=True)
    torch.save({"state_dict": Bomb()}, path)
    with pytest.raises(StorageError, match="not a checkpoint"):
        trained(manifest, work, config())
    assert not (tmp_path / "ran").exists()


def test_divide_training_holds_out_by_class_and_component(manifest: Manifest) -> None:
    division = divide_training(manifest, 0.25, seed=0)
    assert (
        sorted(division.fitted + division.held_out)
        == np.flatnonzero(manifest.split == "train").tolist()
    )
    assert len(division.held_out) == 6
    assert np.bincount(manifest.label_index[division.held_out]).tolist() == [3, 3]


def test_divide_training_one_component_a_class_is_refused(manifest: Manifest) -> None:
    column = manifest.table.schema.get_field_index("group")
    grouped = replace(
        manifest, table=manifest.table.set_column(column, "group", manifest.table["label"])
    )
    assert isinstance(grouped.table, pa.Table)
    with pytest.raises(TooFewImages, match="too few to hold any out"):
        divide_training(grouped, 0.25, seed=0)


def test_head_unfolded_gives_the_same_logits() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(5, 1, (20, 6)) * np.logspace(-2, 2, 6)
    head = Head(points.mean(0), points.std(0), 3, dropout=0).eval()
    with torch.no_grad():
        head.linear.weight.normal_()
        embedding = torch.from_numpy(points).float()
        weight, bias = head.unfolded()
        torch.testing.assert_close(
            embedding @ weight.T + bias, head(embedding), atol=1e-3, rtol=1e-4
        )


def test_head_starts_from_a_classifier_on_standardised_embeddings() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(5, 1, (20, 6)) * np.logspace(-2, 2, 6)
    weight, bias = rng.normal(size=(3, 6)), rng.normal(size=3)
    head = Head(points.mean(0), points.std(0), 3, dropout=0).eval()
    head.start_from(weight, bias)
    with torch.no_grad():
        logit = head(torch.from_numpy(points).float()).numpy()
    expected = (points - points.mean(0)) / points.std(0) @ weight.T + bias
    np.testing.assert_allclose(logit, expected, atol=1e-3)


def test_parameter_groups_learn_slower_towards_the_start_and_hold_every_weight_once() -> None:
    tail = split_network(network_of(), 1.0).tail
    head = Head(np.zeros(256), np.ones(256), 2, dropout=0)
    groups = parameter_groups(
        tail, head, OptimizerConfig(learning_rate=1.0, head_rate=5, layer_decay=0.5)
    )
    given = [id(one) for group in groups for one in group["params"]]
    assert sorted(given) == sorted(id(one) for one in [*tail.parameters(), *head.parameters()])
    rate = {id(one): group["lr"] for group in groups for one in group["params"]}
    assert rate[id(head.linear.weight)] == 5.0
    stem = rate[id(tail.get_parameter("backbone.conv_stem.weight"))]
    last = rate[id(tail.get_parameter("backbone.conv_head.weight"))]
    assert stem < last <= 1.0
    pulled = {id(one) for group in groups if group["weight_decay"] for one in group["params"]}
    assert id(head.linear.weight) in pulled
    assert id(head.linear.bias) not in pulled


def test_held_out_metrics_equal_a_count_by_hand() -> None:
    logit = np.array([[2.0, 0.0], [0.0, 1.0], [0.0, 3.0], [1.0, 0.0]])
    metrics = held_out_metrics(logit, np.array([0, 1, 0, 0]))
    assert metrics["accuracy"] == 0.75
    assert metrics["balanced_accuracy"] == pytest.approx((2 / 3 + 1) / 2)
    assert metrics["macro_f1"] == pytest.approx((0.8 + 2 / 3) / 2)
    right = [1 / (1 + np.exp(-2)), 1 / (1 + np.exp(-1)), 1 / (1 + np.exp(3)), 1 / (1 + np.exp(-1))]
    assert metrics["log_loss"] == pytest.approx(-np.log(right).mean())


@pytest.mark.parametrize(
    ("way", "changes", "message"),
    [
        (FinetuneConfig, {"epochs": 0}, r"training.epochs must be in \[1, 10000\], got 0"),
        (FinetuneConfig, {"ema": 1.0}, r"training.ema must be in \[0, 1\), got 1.0"),
        (FinetuneConfig, {"norm": "group"}, "training.norm must be one of train, frozen"),
        (FinetuneConfig, {"precision": "int4"}, "training.precision must be one of auto"),
        (StagesConfig, {"trained_share": 1.0}, "must be below 1 for training=stages"),
        (StagesConfig, {"views": 0}, r"training.views must be in \[1, 1000\], got 0"),
    ],
)
def test_finetune_config_out_of_range_is_refused(
    way: type[FinetuneConfig], changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        config(way, **changes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OptimizerConfig(name="adam"), "optimizer.name must be one of adamw, sgd"),
        (lambda: OptimizerConfig(layer_decay=0), r"optimizer.layer_decay must be in \[0.01, 1\]"),
        (lambda: LossConfig(class_balance=1.0), r"loss.class_balance must be in \[0, 1\), got 1"),
        (lambda: MixConfig(mixup=-1), r"mix.mixup must be 0 or in \[0.001, 10\], got -1"),
        (lambda: MixConfig(cutmix=1e-50), r"mix.cutmix must be 0 or in .*, got 1e-50"),
        (lambda: SelectionConfig(patience=3), "early stopping needs images to judge by"),
        (lambda: SelectionConfig(metric="f1"), "selection.metric must be one of log_loss"),
    ],
)
def test_finetune_config_parts_out_of_range_are_refused(
    make: Callable[[], object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
