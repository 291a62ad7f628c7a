"""The training loop: epochs, averaged weights, the best epoch, checkpoints.

`run_loop` is the table of contents. Everything that the next epoch depends on is in `_Loop` and in
its checkpoint; randomness follows from seed, epoch and row.

Axes: N images, K classes.
"""

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from sihwa.errors import ConfigError, TrainingDiverged
from sihwa.terminal.progress import Advance, progress_bar
from sihwa.training.batches import Batch, BatchSource, EpochOrder, seeded_random
from sihwa.training.checkpoint import (
    CHECKPOINT,
    Progress,
    foreign_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from sihwa.training.config import FinetuneConfig
from sihwa.training.context import TrainContext, world
from sihwa.training.curve_writers import CurveWriters
from sihwa.training.held_out import held_out_metrics
from sihwa.training.learner import Learner
from sihwa.training.optimizer import create_optimizer, set_learning_rate

log = logging.getLogger(__name__)

Batches = DataLoader[Batch]


def run_loop(
    learner: Learner,
    batches: Batches,
    held_out: Batches | None,
    config: FinetuneConfig,
    context: TrainContext,
    curves: CurveWriters,
) -> Progress:
    """Train to the last epoch, from the run's checkpoint if there is one.

    Afterwards the learner holds the weights to keep: of the best epoch on held-out images, else the
    average (`training.ema`), else the last.

    Args:
        learner: Trained in place.
        batches: The training images.
        held_out: The images that the best epoch is chosen by; None keeps the last.
        config: How to train.
        context: Where to train.
        curves: Gets the figures of every epoch.

    Raises:
        StorageError: A checkpoint cannot be written or read.
        TrainingDiverged: Loss or logits are not finite.
    """
    loop = _Loop(learner, batches, config, context)
    progress, path = loop.progress, context.folder / CHECKPOINT
    if path.exists():
        loop.resume(path)
    with (
        torch.random.fork_rng(devices=range(torch.cuda.device_count())),
        _epoch_bar(loop) as advance,
    ):
        while progress.epoch < config.epochs and not _is_exhausted(progress, config):
            begin = time.perf_counter()
            figures = {"loss": loop.train_epoch(advance)}
            rate = loop.image_count / (time.perf_counter() - begin)
            if held_out is not None:
                figures |= loop.evaluate(held_out)
            loop.finish_epoch(figures)
            seconds = (config.epochs - progress.epoch) * (time.perf_counter() - begin)
            if loop.is_first:
                curves.write(progress.epoch - 1, figures)
                save_checkpoint(path, loop.tensors(), progress)
                log.info("epoch %d/%d: %s, %.0f images/s, %s left", progress.epoch, config.epochs,
                         loop.newest_figures(), rate, timedelta(seconds=round(seconds)))  # fmt: skip
    learner.load_state_dict(loop.best_weights or loop.evaluated.state_dict())
    return progress


class _Loop:
    def __init__(
        self, learner: Learner, batches: Batches, config: FinetuneConfig, context: TrainContext
    ) -> None:
        self.learner = learner.to(context.device)
        self.batches, self.config, self.context = batches, config, context
        self.rank, self.processes = world()
        assert isinstance(batches.sampler, EpochOrder)
        self.order = batches.sampler
        self.image_count = self.order.image_count
        self.steps_per_epoch = -(-len(self.order) // config.optimizer.accumulate)
        self.dtype = choose_dtype(config.precision, context.device)
        if self.processes > 1 and context.device.type == "cuda":
            nn.SyncBatchNorm.convert_sync_batchnorm(learner)  # in place; the weights stay shared
        self.model = DistributedDataParallel(learner) if self.processes > 1 else learner
        self.average: AveragedModel | None = None
        if config.ema:
            ema = get_ema_multi_avg_fn(config.ema)  # type: ignore[no-untyped-call]
            self.average = AveragedModel(learner, multi_avg_fn=ema, use_buffers=True)
        self.optimizer = create_optimizer(learner, config.optimizer)
        self.scaler = torch.amp.GradScaler(
            context.device.type, enabled=self.dtype is torch.float16
        )
        self.progress = Progress()
        self.best_weights: dict[str, Tensor] = {}

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and logs."""
        return self.rank == 0

    @property
    def evaluated(self) -> nn.Module:
        """The averaged weights, or the learner's own where nothing is averaged."""
        return self.average.module if self.average else self.learner

    def train_epoch(self, advance: Advance) -> float:
        """Take the steps of one epoch; return its mean loss."""
        self._seed()
        self.order.set_epoch(self.progress.epoch)
        self.learner.train()
        loss_sum = torch.zeros((), device=self.context.device)
        for number, batch in enumerate(self.batches, 1):
            steps = number % self.config.optimizer.accumulate == 0 or number == len(self.order)
            loss_sum += self._backward(batch.to(self.context.device), steps) * batch.total
            if steps:
                self._step()
            advance(batch.total, self.newest_figures())
        if self.processes > 1:
            torch.distributed.all_reduce(loss_sum)
        return loss_sum.item() / (self.image_count * self.processes)

    def _backward(self, batch: Batch, steps: bool) -> Tensor:
        """Add up the gradient of a batch; return its mean loss, scaled as below."""
        # DDP averages gradients over the processes; shares scaled so average to the batch's mean
        share = self.processes / batch.total
        waiting = isinstance(self.model, DistributedDataParallel) and not steps
        with self.model.no_sync() if waiting else contextlib.nullcontext():
            with self._autocast():
                activation, target = self.learner.prepare(batch)
                loss = self.learner.objective(self.model(activation), target).sum() * share
            self.scaler.scale(loss / self.config.optimizer.accumulate).backward()
        return torch.as_tensor(loss.detach())

    def _step(self) -> None:
        config, progress = self.config.optimizer, self.progress
        set_learning_rate(
            self.optimizer, progress.step, self.config.epochs * self.steps_per_epoch, config
        )
        if config.clip:
            self.scaler.unscale_(self.optimizer)
            weights = [one for group in self.optimizer.param_groups for one in group["params"]]
            nn.utils.clip_grad_norm_(weights, config.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        if self.average:
            self.average.update_parameters(self.learner)
        progress.step += 1

    @torch.inference_mode()
    def evaluate(self, held_out: Batches) -> dict[str, float]:
        """Return the metrics of the held-out images."""
        model = self.evaluated.eval()
        answers = []
        for batch in held_out:
            with self._autocast():
                logit = model(self.learner.activate(batch.to(self.context.device).inputs))
            answers.append((batch.row, logit.float().cpu(), batch.label))
        logit, label = _gathered(answers, self.processes)
        if not np.isfinite(logit).all():
            raise TrainingDiverged(
                f"after epoch {self.progress.epoch + 1} logits of held-out images are NaN or inf"
            )
        return {f"held_out/{name}": x for name, x in held_out_metrics(logit, label).items()}

    def finish_epoch(self, figures: dict[str, float]) -> None:
        """Note the figures of an epoch, and its weights if they are the best so far."""
        progress, metric = self.progress, self.config.selection.metric
        if not np.isfinite(figures["loss"]):
            raise TrainingDiverged(f"the loss of epoch {progress.epoch + 1} is {figures['loss']}")
        for name, figure in figures.items():
            progress.curves.setdefault(_title(name), []).append(figure)
        if f"held_out/{metric}" in figures:
            value = figures[f"held_out/{metric}"] * (1 if metric == "log_loss" else -1)
            if progress.best_value is None or value < progress.best_value:
                progress.best_value, progress.best_epoch = value, progress.epoch
                progress.best_log_loss = figures["held_out/log_loss"]
                self.best_weights = {
                    name: tensor.detach().cpu().clone()
                    for name, tensor in self.evaluated.state_dict().items()
                }
        progress.epoch += 1
        progress.scaler = self.scaler.state_dict()

    def newest_figures(self) -> str:
        """Return the last epoch's loss and selection metric in words."""
        names = ("loss", _title(f"held_out/{self.config.selection.metric}"))
        known = [(name, self.progress.curves.get(name)) for name in names]
        return ", ".join(f"{name} {values[-1]:.4g}" for name, values in known if values)

    def tensors(self) -> dict[str, Tensor]:
        """Return every tensor that the next epoch depends on, by its name in a checkpoint."""
        state = self.optimizer.state_dict()["state"]
        groups = {
            "weights": self.learner.state_dict(),
            "average": self.average.state_dict() if self.average else {},
            "best": self.best_weights,
            "optimizer": {f"{i}/{name}": x for i, own in state.items() for name, x in own.items()},
        }
        return {f"{kind}/{name}": x for kind, own in groups.items() for name, x in own.items()}

    def resume(self, path: Path) -> None:
        """Continue from a checkpoint of this run.

        Raises:
            StorageError: It cannot be read, or belongs to another network or other settings.
        """
        tensors, progress = load_checkpoint(path)
        try:
            self._check(progress)
            self._restore(tensors, progress)
        except (ValueError, RuntimeError, KeyError, IndexError) as error:
            raise foreign_checkpoint(path, " ".join(str(error).split())[:200]) from error
        if self.is_first:
            log.info("resuming after epoch %d of %d", progress.epoch, self.config.epochs)

    def _check(self, progress: Progress) -> None:
        epochs = {len(values) for values in progress.curves.values()}
        steps = progress.epoch * self.steps_per_epoch
        if "loss" not in progress.curves or epochs != {progress.epoch} or progress.step != steps:
            raise ValueError(f"its curves or steps are not those of {progress.epoch} epochs")

    def _restore(self, tensors: dict[str, Tensor], progress: Progress) -> None:
        parts: dict[str, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            kind, _, rest = name.partition("/")
            parts.setdefault(kind, {})[rest] = tensor
        own = self.learner.state_dict()
        for weights in (parts["weights"], *([parts["best"]] if "best" in parts else [])):
            if {k: (x.shape, x.dtype) for k, x in weights.items()} != {
                k: (x.shape, x.dtype) for k, x in own.items()
            }:
                raise ValueError("its weights are of another network")
        self.learner.load_state_dict(parts["weights"])
        self.best_weights = parts.get("best", {})
        if self.average:
            self.average.load_state_dict(parts["average"])
        self._restore_optimizer(parts["optimizer"])
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(progress.scaler)
        for name in progress.__struct_fields__:
            setattr(self.progress, name, getattr(progress, name))

    def _restore_optimizer(self, tensors: dict[str, Tensor]) -> None:
        weights = [one for group in self.optimizer.param_groups for one in group["params"]]
        state: dict[int, dict[str, Tensor]] = {index: {} for index in range(len(weights))}
        for name, tensor in tensors.items():
            index, _, kind = name.partition("/")
            # in the weight's memory format: another one may round differently
            like = weights[int(index)] if tensor.ndim else tensor
            state[int(index)][kind] = torch.empty_like(like, dtype=tensor.dtype).copy_(tensor)
        if not all(state.values()):
            raise ValueError("the state of its optimiser is incomplete")
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})

    def _autocast(self) -> Any:  # noqa: ANN401 -- one of two context managers
        if self.dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.context.device.type, dtype=self.dtype)

    def _seed(self) -> None:
        """Seed dropout and mixing by seed, epoch and process."""
        rng = seeded_random(self.context.seed, self.progress.epoch, self.rank)
        torch.manual_seed(int(rng.integers(2**63)))


@contextlib.contextmanager
def _epoch_bar(loop: _Loop) -> Iterator[Advance]:
    if not loop.is_first:
        yield lambda count, note="": None
        return
    with progress_bar("training", loop.config.epochs * loop.image_count) as advance:
        advance(loop.progress.epoch * loop.image_count)
        yield advance


def _is_exhausted(progress: Progress, config: FinetuneConfig) -> bool:
    """Tell whether the last `patience` epochs brought no improvement."""
    patience, best = config.selection.patience, progress.best_epoch
    return bool(patience) and best is not None and progress.epoch - 1 - best >= patience


def _title(name: str) -> str:
    """Return a figure's name as reports show it: `held-out log loss`."""
    return name.replace("held_out/", "held-out ").replace("_", " ")


def _gathered(
    answers: list[tuple[Tensor, Tensor, Tensor]], processes: int
) -> tuple[NDArray[np.floating], NDArray[np.integer]]:
    """Return logits and labels of all processes in the order of their rows."""
    row, logit, label = (torch.cat(one).numpy() for one in zip(*answers, strict=True))
    if processes > 1:
        everyone: list[Any] = [None] * processes
        torch.distributed.all_gather_object(everyone, (row, logit, label))
        row, logit, label = (np.concatenate(one) for one in zip(*everyone, strict=True))
    order = np.argsort(row, kind="stable")
    return logit[order], label[order]


def load_batches(
    source: BatchSource, order: EpochOrder, config: FinetuneConfig, device: torch.device
) -> Batches:
    """Return a loader of whole batches, read ahead by worker processes where there are any."""
    workers = config.workers
    if workers < 0:
        workers = 0 if device.type == "cpu" else min(8, os.cpu_count() or 1)
    return DataLoader(
        source,  # type: ignore[arg-type]  # indexed by requests, not by numbers
        batch_size=None,
        sampler=order,  # one sample is a whole batch
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),  # otherwise every pass draws from PyTorch's own generator
    )


def choose_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """Return the type that layers compute in; None is float32. `auto` is the fastest there is.

    Raises:
        ConfigError: The device lacks it.
    """
    if precision == "fp16" and device.type != "cuda":
        raise ConfigError("training.precision=fp16 needs a CUDA device; use bf16 or fp32")
    if precision == "auto":
        if device.type == "cuda":
            precision = "bf16" if torch.cuda.is_bf16_supported() else "fp16"
        else:
            known = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
            precision = "bf16" if known and known() else "fp32"
    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
