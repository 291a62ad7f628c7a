"""The file that a killed training goes on from: whole or not there, and never unpickled."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint

from sihwa.errors import StorageError
from sihwa.storage import replacing

__all__ = ["CheckpointFiles", "KeepLast"]


class KeepLast(Checkpoint):
    """Writes everything that the next epoch depends on to one file, after every epoch."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Replace the file."""
        del pl_module
        trainer.save_checkpoint(self._path)


class CheckpointFiles(TorchCheckpointIO):
    """Checkpoints that are whole or not there, and are read without unpickling anything."""

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
            StorageError: It is not one.
        """
        del map_location, weights_only
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except (
            OSError,
            RuntimeError,
            EOFError,
            pickle.UnpicklingError,
            zipfile.BadZipFile,
        ) as error:
            raise StorageError(
                f"{path}: not a checkpoint of a training run: {str(error).splitlines()[0][:200]}; "
                "delete it, and the run begins its training anew"
            ) from error
        return state
