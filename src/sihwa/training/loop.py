"""The training loop. `run_loop` is its table of contents.

Axes: N images, K classes.
"""

import contextlib
import logging
import time
from datetime import timedelta
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sihwa.errors import ConfigError, TrainingDiverged
from sihwa.terminal.progress import Advance, progress_bar
from sihwa.training.checkpoint import CHECKPOINT, Progress, TrainState
from sihwa.training.config import FinetuneConfig
from sihwa.training.curve_writers import WriteCurves
from sihwa.training.epoch_batches import Batch, Batches, EpochOrder, seeded_random
from sihwa.training.held_out import held_out_metrics
from sihwa.training.learner import Learner
from sihwa.training.optimizer import rate_factor
from sihwa.training.train import TrainContext, world

log = logging.getLogger(__name__)


def run_loop(
    learner: Learner,
    batches: Batches,
    held_out: Batches | None,
    config: FinetuneConfig,
    context: TrainContext,
    write_curves: WriteCurves,
) -> Progress:
    """Train to the last epoch, from the run's checkpoint if there is one.

    Afterwards the learner holds the weights to keep: those of the best epoch on held-out images,
    else the average (`training.ema`), else the last.

    Args:
        learner: Trained in place.
        batches: The training images.
        held_out: The images that the best epoch is chosen by; None keeps the last.
        config: How to train.
        context: Where to train.
        write_curves: Gets the figures of every epoch.
    """
    loop = _Loop(learner, batches, config, context)
    state, path = loop.state, context.folder / CHECKPOINT
    if path.exists():
        state.load(path, loop.steps_per_epoch)
        if loop.is_first:
            log.info("resuming after epoch %d of %d", state.progress.epoch, config.epochs)
    with (
        torch.random.fork_rng(devices=range(torch.cuda.device_count())),
        loop.progress_bar() as advance,
    ):
        advance(state.progress.epoch * loop.image_count)
        while state.progress.epoch < config.epochs and not loop.is_exhausted():
            begin = time.perf_counter()
            figures = {"loss": loop.train_epoch(advance)}
            trained = time.perf_counter()
            if held_out is not None:
                figures |= loop.evaluate(held_out)
            loop.finish_epoch(figures)
            if loop.is_first:
                write_curves(state.progress.epoch, figures)
                state.save(path)
                loop.log_epoch(trained - begin, time.perf_counter() - begin)
    learner.load_state_dict(state.best or state.evaluated.state_dict())
    return state.progress


class _Loop:
    """One training; its methods are the steps of `run_loop`."""

    def __init__(
        self, learner: Learner, batches: Batches, config: FinetuneConfig, context: TrainContext
    ) -> None:
        self._batches, self._config, self._context = batches, config, context
        self._rank, self._processes = world()
        self._dtype = choose_dtype(config.precision, context.device)
        assert isinstance(batches.sampler, EpochOrder)
        self._order = batches.sampler
        self.image_count = self._order.image_count
        self.steps_per_epoch = -(-len(self._order) // config.optimizer.accumulate)
        learner.to(context.device)
        if self._processes > 1 and context.device.type == "cuda":
            # in place; weights stay shared with the network
            nn.SyncBatchNorm.convert_sync_batchnorm(learner)  # type: ignore[no-untyped-call]
        self._model = DistributedDataParallel(learner) if self._processes > 1 else learner
        self.state = TrainState(learner, config, fp16=self._dtype is torch.float16)

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and logs."""
        return self._rank == 0

    def progress_bar(self) -> contextlib.AbstractContextManager[Advance]:
        """Return a bar over the whole training, shown by the first process."""
        images = self._config.epochs * self.image_count
        return progress_bar("training", images) if self.is_first else contextlib.nullcontext(_hide)

    def is_exhausted(self) -> bool:
        """Tell whether the last `patience` epochs brought no improvement."""
        patience, progress = self._config.selection.patience, self.state.progress
        best = progress.best_epoch
        return bool(patience) and best is not None and progress.epoch - 1 - best >= patience

    def train_epoch(self, advance: Advance) -> float:
        """Take the steps of one epoch; return its mean loss."""
        epoch, device = self.state.progress.epoch, self._context.device
        # dropout and mixing follow from seed, epoch and process
        seed = seeded_random(self._context.seed, epoch, self._rank).integers(2**63)
        torch.manual_seed(int(seed))
        self._order.set_epoch(epoch)
        self.state.learner.train()
        loss_sum = torch.zeros((), device=device)
        for number, batch in enumerate(self._batches, 1):
            is_step = number % self._config.optimizer.accumulate == 0 or number == len(self._order)
            loss_sum += self._add_gradient(batch.to(device), is_step) * batch.total
            if is_step:
                self._step()
            advance(batch.total, self._newest_figures())
        if self._processes > 1:
            torch.distributed.all_reduce(loss_sum)
        return loss_sum.item() / (self.image_count * self._processes)

    def _add_gradient(self, batch: Batch, is_step: bool) -> Tensor:
        """Add the gradient of a batch; return the loss, whose mean over processes is the batch's.

        DDP averages gradients over the processes, so the same holds for them.
        """
        model, learner = self._model, self.state.learner
        waits = isinstance(model, DistributedDataParallel) and not is_step
        with model.no_sync() if waits else contextlib.nullcontext():  # type: ignore[operator]
            with self._autocast():
                activation, target = learner.prepare(batch)
                loss = learner.objective(model(activation), target).sum()
                loss = loss * (self._processes / batch.total)
            self.state.scaler.scale(loss / self._config.optimizer.accumulate).backward()
        return torch.as_tensor(loss.detach())

    def _step(self) -> None:
        state, config = self.state, self._config.optimizer
        step_count = self._config.epochs * self.steps_per_epoch
        factor = rate_factor(state.progress.step, step_count, config.warmup)
        for group in state.optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        if config.clip:
            state.scaler.unscale_(state.optimizer)
            nn.utils.clip_grad_norm_(state.trained, config.clip)
        state.scaler.step(state.optimizer)
        state.scaler.update()
        state.optimizer.zero_grad()
        if state.average:
            state.average.update_parameters(state.learner)
        state.progress.step += 1

    @torch.inference_mode()
    def evaluate(self, held_out: Batches) -> dict[str, float]:
        """Return the metrics of the held-out images."""
        model = self.state.evaluated.eval()
        answers = []
        for batch in held_out:
            with self._autocast():
                inputs = batch.to(self._context.device).inputs
                logit = model(self.state.learner.activate(inputs))
            answers.append((batch.row, logit.float().cpu(), batch.label))
        logit, label = _gathered(answers, self._processes)
        if not np.isfinite(logit).all():
            epoch = self.state.progress.epoch + 1
            raise TrainingDiverged(f"logits of held-out images contain NaN or inf in epoch {epoch}")
        metrics = held_out_metrics(logit, label)
        return {f"held-out {name.replace('_', ' ')}": value for name, value in metrics.items()}

    def finish_epoch(self, figures: dict[str, float]) -> None:
        """Note the figures of an epoch, and its weights if they are the best so far."""
        progress = self.state.progress
        if not np.isfinite(figures["loss"]):
            raise TrainingDiverged(f"the loss of epoch {progress.epoch + 1} is {figures['loss']}")
        for name, figure in figures.items():
            progress.curves.setdefault(name, []).append(figure)
        if self._metric in figures:
            value = figures[self._metric]
            if self._config.selection.metric != "log_loss":
                value = -value
            if progress.best_value is None or value < progress.best_value:
                progress.best_value, progress.best_epoch = value, progress.epoch
                progress.best_log_loss = figures["held-out log loss"]
                self.state.keep_best()
        progress.epoch += 1

    def log_epoch(self, train_s: float, epoch_s: float) -> None:
        """Log one line: figures, rate and time left."""
        epoch, epochs = self.state.progress.epoch, self._config.epochs
        left = timedelta(seconds=round(epoch_s * (epochs - epoch)))
        rate = self.image_count / train_s
        log.info("epoch %d/%d: %s, %.0f images/s, %s left",
                 epoch, epochs, self._newest_figures(), rate, left)  # fmt: skip

    @property
    def _metric(self) -> str:
        return f"held-out {self._config.selection.metric.replace('_', ' ')}"

    def _newest_figures(self) -> str:
        known = [(name, self.state.progress.curves.get(name)) for name in ("loss", self._metric)]
        return ", ".join(f"{name} {values[-1]:.4g}" for name, values in known if values)

    def _autocast(self) -> torch.autocast:
        mixed = self._dtype is not torch.float32
        return torch.autocast(self._context.device.type, self._dtype, enabled=mixed)


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the type of `training.precision`; `auto` is the fastest that the device has.

    Raises:
        ConfigError: The device lacks it.
    """
    if precision == "fp16" and device.type != "cuda":
        raise ConfigError("training.precision=fp16 needs a CUDA device; use bf16 or fp32")
    if precision == "auto" and device.type == "cuda":
        precision = "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    elif precision == "auto":
        known = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
        precision = "bf16" if known and known() else "fp32"
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def _hide(count: int, note: str = "") -> None:
    del count, note


def _gathered(
    answers: list[tuple[Tensor, Tensor, Tensor]], processes: int
) -> tuple[NDArray[np.floating], NDArray[np.integer]]:
    """Return logits and labels of all processes in the order of their rows."""
    row, logit, label = (torch.cat(column).numpy() for column in zip(*answers, strict=True))
    if processes > 1:
        everyone: list[Any] = [None] * processes
        torch.distributed.all_gather_object(everyone, (row, logit, label))
        row, logit, label = (np.concatenate(column) for column in zip(*everyone, strict=True))
    order = np.argsort(row, kind="stable")
    return logit[order], label[order]
