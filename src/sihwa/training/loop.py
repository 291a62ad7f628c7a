"""The training loop: Lightning's Trainer, set up for runs that can be killed and go on.

Axes: N images.
"""

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, WeightAveraging
from lightning.pytorch.loggers import Logger
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from sihwa.errors import ConfigError, SihwaError
from sihwa.images import available_cores
from sihwa.terminal.quiet import quieten
from sihwa.training.batches import Batch, EpochOrder
from sihwa.training.checkpoint import CheckpointFiles, KeepLast, unfit_checkpoint
from sihwa.training.context import TrainContext, world
from sihwa.training.epoch_record import ProgressLine, Record, SeedEachEpoch
from sihwa.training.finetune_config import FinetuneConfig
from sihwa.training.learner import Learner
from sihwa.training.tracking import create_loggers

_CHATTY = ("lightning", "lightning.pytorch", "lightning.fabric")

LAST = Path("checkpoints", "last.ckpt")
"""Where a run folder keeps what its training goes on from."""


def has_bfloat16() -> bool:
    """Tell whether this processor multiplies in bfloat16 itself."""
    known = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(known and known())


def load_batches(
    source: Any,  # noqa: ANN401 -- a BatchSource that is a torch Dataset
    order: EpochOrder,
    config: FinetuneConfig,
    device: torch.device,
) -> "DataLoader[Batch]":
    """Return a loader of whole batches, read ahead by worker processes where there are any."""
    workers = config.workers
    if workers < 0:
        workers = 0 if device.type == "cpu" else min(8, available_cores())
    return DataLoader(
        source,
        batch_size=None,
        sampler=order,  # one sample here is a whole batch
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),  # or every pass would draw from PyTorch's own
    )


def open_loggers(config: FinetuneConfig, work: TrainContext) -> list[Logger]:
    """Return what the curves go to; what the loop would refuse is refused here, before any work.

    Raises:
        ConfigError: The device lacks the precision, or MLflow does not take its address.
    """
    choose_precision(config.precision, work.device)
    with quieten(*_CHATTY):
        return create_loggers(config, work)


def run_loop(
    learner: Learner,
    batches: "DataLoader[Batch]",
    held_out: "DataLoader[Batch] | None",
    config: FinetuneConfig,
    work: TrainContext,
    *,
    loggers: Sequence[Logger],
    images: int,
) -> Record:
    """Train until the last epoch, from the run's checkpoint on where there is one.

    Afterwards the learner holds the weights that are kept: the averaged ones, of the last epoch
    or of the best on held-out images.

    Args:
        learner: Trained in place.
        batches: The training images.
        held_out: What the best epoch is chosen by; None keeps the last.
        config: How.
        work: Where.
        loggers: Where the curves go.
        images: Images per epoch.

    Raises:
        StorageError: A checkpoint cannot be written or read.
        TrainingDiverged: Loss or answers are no longer finite.
    """
    record = Record(config.selection)
    checkpoint = work.folder / LAST
    with quieten(*_CHATTY), torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        trainer = _create_trainer(learner, record, checkpoint, config, work, loggers, images)
        learner.train()  # Lightning takes modules in the mode they come in
        handler = signal.getsignal(signal.SIGINT)
        try:
            trainer.fit(
                learner, batches, held_out, ckpt_path=checkpoint if checkpoint.exists() else None
            )
            for callback in trainer.callbacks:  # type: ignore[attr-defined]
                # a run that was stopped after its last epoch: Lightning has nothing left to do,
                # and leaves the weights of the last step where the averaged ones belong
                if isinstance(callback, WeightAveraging):
                    callback.on_train_end(trainer, learner)
        except SihwaError:
            raise
        except Exception as error:
            # checkpoints come from outside, and Lightning's own parts of one are many
            if record.started or not checkpoint.exists():
                raise
            raise unfit_checkpoint(checkpoint, error) from error
        except SystemExit as error:
            if isinstance(error.__context__, KeyboardInterrupt):
                # Lightning ends the program by itself, and stops listening to Ctrl-C
                signal.signal(signal.SIGINT, handler)
                raise KeyboardInterrupt from error
            raise
    if record.best_weights:
        learner.load_state_dict(record.best_weights)
    return record


def _create_trainer(
    learner: Learner,
    record: Record,
    checkpoint: Path,
    config: FinetuneConfig,
    work: TrainContext,
    loggers: Sequence[Logger],
    images: int,
) -> pl.Trainer:
    callbacks: list[Callback] = [
        SeedEachEpoch(work.seed),
        record,
        ProgressLine(config.epochs, images, record),
        KeepLast(checkpoint),
    ]
    if config.ema:
        callbacks.append(
            WeightAveraging(
                multi_avg_fn=get_ema_multi_avg_fn(config.ema)  # type: ignore[no-untyped-call]
            )
        )
    kept = {type(one).__name__ for one in callbacks if isinstance(one, Record | WeightAveraging)}
    _, processes = world()
    return pl.Trainer(
        accelerator="gpu" if work.device.type == "cuda" else "cpu",
        devices=int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
        num_nodes=processes // int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
        strategy="ddp" if processes > 1 else "auto",
        sync_batchnorm=processes > 1 and work.device.type == "cuda",
        precision=choose_precision(config.precision, work.device),
        max_epochs=config.epochs,
        accumulate_grad_batches=config.optimizer.accumulate,
        gradient_clip_val=config.optimizer.clip or None,
        callbacks=callbacks,
        plugins=[CheckpointFiles(learner.state_dict(), kept)],
        logger=list(loggers),
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def choose_precision(name: str, device: torch.device) -> Any:  # noqa: ANN401 -- a literal
    """Return Lightning's word for a precision; `auto` is the fastest that the device has.

    Raises:
        ConfigError: The device lacks it.
    """
    if device.type == "cuda":
        can = torch.cuda.is_bf16_supported()
    else:
        can = has_bfloat16()
        if name == "fp16":
            raise ConfigError("training.precision=fp16 needs a CUDA device; use bf16 or fp32")
    automatic = "bf16" if can else "fp16" if device.type == "cuda" else "fp32"
    return {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}[
        automatic if name == "auto" else name
    ]
