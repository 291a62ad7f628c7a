"""The file that a killed training goes on from: whole or not there, and never unpickled."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint

from sihwa.errors import StorageError
from sihwa.model import read_tensor_file
from sihwa.storage import replacing

_PARTS = {"state_dict", "epoch", "global_step", "loops", "callbacks", "optimizer_states",
          "lr_schedulers", "pytorch-lightning_version"}  # fmt: skip


class KeepLast(Checkpoint):
    """Writes everything that the next epoch depends on to one file, after every epoch."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Replace the file."""
        del pl_module
        trainer.save_checkpoint(self._path)


class CheckpointFiles(TorchCheckpointIO):
    """Checkpoints that are whole or not there, and are read without unpickling anything.

    Args:
        own: The tensors of the network that is trained; a checkpoint must have the same.
        callbacks: Names of the callbacks that a checkpoint must have something of.
    """

    def __init__(self, own: Mapping[str, torch.Tensor], callbacks: Collection[str] = ()) -> None:
        self._callbacks = set(callbacks)
        self._kind = {name: _kind(tensor) for name, tensor in own.items()}

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: object = None,
    ) -> None:
        """Write a checkpoint in place of the one before.

        Raises:
            StorageError: The disk refuses; the one before is still there.
        """
        del storage_options
        target = Path(path)
        try:
            with replacing(target) as temporary:
                torch.save(checkpoint, temporary)
        except RuntimeError as error:  # torch's writer does not say that the disk is full
            raise StorageError(f"cannot write {target}: {str(error).splitlines()[0]}") from error

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: object = None,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Read a checkpoint.

        Raises:
            StorageError: It is not one of this network.
        """
        del map_location, weights_only
        try:
            state = read_tensor_file(Path(path))
            if not isinstance(state, dict) or not state.keys() >= _PARTS:
                raise ValueError("it lacks what a training goes on from")
            if {name: _kind(value) for name, value in state["state_dict"].items()} != self._kind:
                raise ValueError("it is of another network")
            # one optimiser, one schedule; Lightning goes on without what is missing, elsewhere
            for name in ("optimizer_states", "lr_schedulers", "loops"):
                if not state[name]:
                    raise ValueError(f"its {name} are missing")
            if missing := self._callbacks - set(state["callbacks"]):
                raise ValueError(f"it lacks {', '.join(sorted(missing))}")
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
        except (ValueError, AttributeError, TypeError) as error:
            raise unfit_checkpoint(path, error) from error
        return state


def unfit_checkpoint(path: str | Path, error: Exception) -> StorageError:
    """Return what to say of a checkpoint that no training goes on from."""
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return StorageError(
        f"{path}: not a checkpoint of this training run: {reason}; delete it, and the run begins "
        "its training anew"
    )


def _kind(tensor: torch.Tensor) -> tuple[torch.Size, torch.dtype]:
    return tensor.shape, tensor.dtype
