import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from sihwa.dataset import Manifest
from sihwa.errors import StorageError, TrainingDiverged
from sihwa.training import FinetuneConfig, TrainContext
from sihwa.training.checkpoint import CHECKPOINT, TrainState
from sihwa.training.config import MixConfig, OptimizerConfig, SelectionConfig
from tests.unit.training.tiny_training import WAYS, assert_same, config, trained

Change = Callable[[dict[str, Tensor], dict[str, object]], object]


class Killed(Exception):
    pass


@pytest.fixture(params=["before", "after"])
def kills(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Kill the training before or after its checkpoint, once in each epoch of the list."""
    epochs: list[int] = []
    original = TrainState.save

    def kill(self: TrainState, path: Path) -> None:
        epoch = self.progress.epoch
        if epoch not in epochs or request.param == "after":
            original(self, path)
        if epoch in epochs:
            epochs.remove(epoch)
            raise Killed

    monkeypatch.setattr(TrainState, "save", kill)
    return iter([epochs])


@WAYS
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_resumed_training_equals_the_uninterrupted_one(
    manifest: Manifest,
    context: TrainContext,
    tmp_path: Path,
    way: type[FinetuneConfig],
    optimizer: str,
    kills: Iterator[list[int]],
) -> None:
    settings = config(
        way,
        epochs=5,
        dropout=0.1,
        mix=MixConfig(mixup=0.2),
        optimizer=OptimizerConfig(name=optimizer, learning_rate=1e-3),
        selection=SelectionConfig(held_out=0.25),
        oversample=0.5,
    )
    whole, result = trained(manifest, replace(context, folder=tmp_path / "whole"), settings)
    next(kills).extend([1, 3, 4])
    for _ in range(3):
        with pytest.raises(Killed):
            trained(manifest, context, settings)
    resumed, result_resumed = trained(manifest, context, settings)
    assert_same(whole, resumed)
    assert result_resumed == result


@WAYS
def test_training_killed_after_its_last_epoch_keeps_the_average(
    manifest: Manifest,
    context: TrainContext,
    tmp_path: Path,
    way: type[FinetuneConfig],
    kills: Iterator[list[int]],
) -> None:
    whole, _ = trained(manifest, replace(context, folder=tmp_path / "whole"), config(way))
    next(kills).append(3)
    with pytest.raises(Killed):
        trained(manifest, context, config(way))
    resumed, _ = trained(manifest, context, config(way))
    assert_same(whole, resumed)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(b""), "safetensors: not a checkpoint .* delete it"),
        (
            lambda path: path.write_bytes(b"\x80\x02" * 99),
            "safetensors: not a checkpoint .* delete",
        ),
        (Path.mkdir, "^cannot read .*safetensors: not a plain file"),
        (os.mkfifo, "^cannot read .*safetensors: not a plain file"),
    ],
    ids=["empty", "other bytes", "folder", "pipe"],
)
def test_load_what_is_no_checkpoint_is_one_clear_error(
    manifest: Manifest, context: TrainContext, make: Callable[[Path], None], message: str
) -> None:
    path = context.folder / CHECKPOINT
    path.parent.mkdir(parents=True)
    make(path)
    with pytest.raises(StorageError, match=message):
        trained(manifest, context, config())


def change_checkpoint(path: Path, change: Change) -> None:
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        progress = json.loads(file.metadata()["progress"])
    change(tensors, progress)
    save_file(tensors, path, {"progress": json.dumps(progress)})


def drop(prefix: str) -> Change:
    def change(tensors: dict[str, Tensor], progress: dict[str, object]) -> None:
        for name in [name for name in tensors if name.startswith(prefix)]:
            del tensors[name]

    return change


def reshape(tensors: dict[str, Tensor], progress: dict[str, object]) -> None:
    name = next(n for n, x in tensors.items() if n.startswith("weights/") and x.ndim > 1)
    tensors[name] = tensors[name][:1].clone()


@pytest.mark.parametrize(
    "change",
    [
        drop("weights/"),
        drop("average/n_averaged"),
        drop("optimizer/"),
        drop("optimizer/0/exp_avg_sq"),
        reshape,
        lambda _, progress: progress.clear(),
        lambda _, progress: progress.update(curves={"loss": ["x"]}),
        lambda _, progress: progress.update(curves={"loss": []}),
        lambda _, progress: progress.update(step=10**9),
        lambda _, progress: progress.update(more=1),
    ],
    ids=[
        "no weights", "part of the average", "no optimiser", "part of the optimiser",
        "another network", "no progress", "text", "short curve", "step", "unknown field",
    ],
)  # fmt: skip
def test_load_changed_checkpoint_is_one_clear_error(
    manifest: Manifest, context: TrainContext, change: Change
) -> None:
    trained(manifest, context, config(epochs=1))
    change_checkpoint(context.folder / CHECKPOINT, change)
    with pytest.raises(StorageError, match=r"safetensors: not a checkpoint .* delete it"):
        trained(manifest, context, config(epochs=2))


def test_train_network_weights_of_nan_are_refused(
    manifest: Manifest, context: TrainContext
) -> None:
    def spoil(tensors: dict[str, Tensor], progress: dict[str, object]) -> None:
        for value in tensors.values():
            if value.is_floating_point():
                value.fill_(torch.nan)

    trained(manifest, context, config(epochs=1, ema=0))
    change_checkpoint(context.folder / CHECKPOINT, spoil)
    with pytest.raises(TrainingDiverged, match="weights contain NaN"):
        trained(manifest, context, config(epochs=1, ema=0))
