"""What is seen and kept of a training: its curves, the best weights, a progress bar.

Axes: N images, K classes.
"""

import logging
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score, log_loss
from torch import Tensor

from sihwa.errors import TrainingDiverged
from sihwa.terminal.progress import progress_bar
from sihwa.training.batches import Batch, random_of
from sihwa.training.finetune_config import SelectionConfig
from sihwa.training.learner import Learner

log = logging.getLogger(__name__)


def held_out_metrics(logit: NDArray[np.floating], label: NDArray[np.integer]) -> dict[str, float]:
    """Return every metric that an epoch can be chosen by.

    Args:
        logit: (N, K).
        label: Class indices, (N,).
    """
    wide = logit.astype(np.float64)
    probability = np.exp(wide - wide.max(1, keepdims=True))
    probability /= probability.sum(1, keepdims=True)
    top = wide.argmax(1)
    return {
        "log_loss": float(log_loss(label, probability, labels=range(logit.shape[1]))),
        "accuracy": float(accuracy_score(label, top)),
        "balanced_accuracy": float(
            np.mean([(top == label)[label == k].mean() for k in np.unique(label)])
        ),
        "macro_f1": float(f1_score(label, top, average="macro", zero_division=0)),
    }


class Record(Callback):
    """Keeps curves and, where images are held out, the best epoch's weights; may end early.

    It must stand before the callback that averages weights: at the end of a validation epoch that
    one takes the averaged weights out of the module again.
    """

    def __init__(self, config: SelectionConfig) -> None:
        self._config = config
        self.curve: dict[str, list[float]] = {}
        self.best_epoch = -1
        self.best_value = float("inf")
        self.best_log_loss: float | None = None
        self.best_weights: dict[str, Tensor] = {}
        self.started = False
        """Whether training began, so that what fails is no longer the checkpoint."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End at once what had ended early before it was resumed.

        Raises:
            ValueError: The checkpoint's epochs are not those that its curves have.
        """
        del pl_module
        epochs = len(self.curve.get("loss", ()))
        if trainer.current_epoch != epochs:
            raise ValueError(f"it has curves of {epochs} epochs, not of {trainer.current_epoch}")
        self.started = True
        if epochs and trainer.is_global_zero:
            log.info("going on after epoch %d of %d", epochs, trainer.max_epochs)
        self._end_early(trainer, epochs - 1)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the epoch's mean loss.

        Raises:
            TrainingDiverged: It is not finite.
        """
        del pl_module
        loss = float(trainer.callback_metrics["loss"])
        if not np.isfinite(loss):
            raise TrainingDiverged(f"the loss of epoch {trainer.current_epoch + 1} is {loss}")
        self._note("loss", loss)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure the held-out images, and keep the weights if they are the best so far.

        Raises:
            TrainingDiverged: The network's answers are not finite.
        """
        assert isinstance(pl_module, Learner)
        logit, label = _gathered(pl_module, trainer.world_size)
        if not np.isfinite(logit).all():
            raise TrainingDiverged(
                f"after epoch {trainer.current_epoch + 1} its answers to held-out images are no "
                "numbers"
            )
        metrics = held_out_metrics(logit, label)
        for name, value in metrics.items():
            self._note(f"held-out {name.replace('_', ' ')}", value)
            for logger in pl_module.loggers:
                logger.log_metrics({f"held_out/{name}": value}, trainer.current_epoch)
        chosen = metrics[self._config.metric]
        value = chosen if self._config.metric == "log_loss" else -chosen
        if value < self.best_value:
            self.best_value, self.best_epoch = value, trainer.current_epoch
            self.best_log_loss = metrics["log_loss"]
            self.best_weights = {
                name: tensor.detach().cpu().clone()
                for name, tensor in pl_module.state_dict().items()
            }
        self._end_early(trainer, trainer.current_epoch)

    @property
    def last(self) -> str:
        """The newest figures in a few words."""
        shown = ("loss", f"held-out {self._config.metric.replace('_', ' ')}")
        found = [(name, self.curve[name][-1]) for name in shown if self.curve.get(name)]
        return ", ".join(f"{name} {value:.4g}" for name, value in found)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        names = ("curve", "best_epoch", "best_value", "best_log_loss", "best_weights")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint.

        Raises:
            ValueError: It holds no such record.
        """
        # torch gives plain values and tensors alone; this says which
        own = self.state_dict()
        if not isinstance(state_dict, dict) or state_dict.keys() != own.keys():
            raise ValueError("its curves are missing")
        curve = state_dict["curve"]
        if not isinstance(curve, dict) or not all(
            isinstance(values, list) and all(isinstance(value, float) for value in values)
            for values in curve.values()
        ):
            raise ValueError("its curves are no numbers")
        for name, value in state_dict.items():
            setattr(self, name, value)

    def _end_early(self, trainer: pl.Trainer, epoch: int) -> None:
        patience = self._config.patience
        if patience and epoch >= 0 and epoch - self.best_epoch >= patience:
            trainer.should_stop = True

    def _note(self, name: str, value: float) -> None:
        self.curve.setdefault(name, []).append(value)


def _gathered(learner: Learner, world: int) -> tuple[NDArray[np.floating], NDArray[np.integer]]:
    """Return logits and labels of all processes, by row, and forget them."""
    row, logit, label = (torch.cat(parts).numpy() for parts in zip(*learner.answers, strict=True))
    learner.answers = []
    if world > 1:
        everyone: list[Any] = [None] * world
        torch.distributed.all_gather_object(everyone, (row, logit, label))
        row, logit, label = (np.concatenate(parts) for parts in zip(*everyone, strict=True))
    order = np.argsort(row, kind="stable")
    return logit[order], label[order]


class SeedEachEpoch(Callback):
    """Draws what PyTorch draws (dropout, mixing) from seed and epoch, however the epoch began."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Seed PyTorch for the epoch."""
        del pl_module
        rng = random_of(self._seed, trainer.current_epoch, trainer.global_rank)
        torch.manual_seed(int(rng.integers(2**63)))


class ProgressLine(Callback):
    """One bar over the whole training, with its last loss and held-out metric."""

    def __init__(self, epochs: int, images: int, record: Record) -> None:
        self._epochs = epochs
        self._images = images
        self._record = record
        self._bar: Any = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the bar."""
        del pl_module
        if trainer.is_global_zero:
            self._bar = progress_bar("training", self._epochs * self._images)
            self._advance = self._bar.__enter__()
            self._advance(trainer.current_epoch * self._images)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Move it."""
        del trainer, pl_module, outputs, batch_idx
        if self._bar:
            self._advance(batch.total, self._record.last)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close it."""
        del trainer, pl_module
        self._close()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Close it."""
        del trainer, pl_module, exception
        self._close()

    def _close(self) -> None:
        if self._bar:
            self._bar.__exit__(None, None, None)
            self._bar = None
