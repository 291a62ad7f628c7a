"""The checkpoint that a killed training resumes from: one safetensors file, never pickle.

Tensors are named `weights/…`, `average/…`, `best/…` and `optimizer/INDEX/…`; the header's entry
`progress` holds the rest as JSON.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sihwa.errors import StorageError
from sihwa.storage import replacing

CHECKPOINT = Path("checkpoints", "last.safetensors")
"""Place of the checkpoint in a run folder."""


class Progress(msgspec.Struct, forbid_unknown_fields=True):
    """How far a training is.

    Attributes:
        epoch: Finished epochs.
        step: Optimiser steps taken.
        curves: Figures by name, one value per finished epoch.
        best_epoch: Index of the best epoch on held-out images; None without any.
        best_value: Its selection metric, negative where more is better.
        best_log_loss: Its held-out log-loss in nats.
        scaler: State of the fp16 loss scaler; empty in other precisions.
    """

    epoch: int = 0
    step: int = 0
    curves: dict[str, list[float]] = {}
    best_epoch: int | None = None
    best_value: float | None = None
    best_log_loss: float | None = None
    scaler: dict[str, float] = {}


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], progress: Progress) -> None:
    """Replace the checkpoint.

    Raises:
        StorageError: Writing failed; the previous checkpoint is still there.
    """
    content = {name: one.detach().cpu().contiguous() for name, one in tensors.items()}
    header = {"progress": msgspec.json.encode(progress).decode()}
    try:
        with replacing(path) as temporary:
            save_file(content, temporary, header)
    except SafetensorError as error:
        raise StorageError(f"cannot write {path}: {error}") from error


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], Progress]:
    """Read a checkpoint.

    Raises:
        StorageError: It cannot be read, or is not a checkpoint.
    """
    if not path.is_file():
        raise StorageError(f"cannot read {path}: not a plain file; remove it")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return tensors, msgspec.json.decode(header.get("progress", ""), type=Progress)
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
    except (SafetensorError, msgspec.DecodeError) as error:
        raise foreign_checkpoint(path, str(error)) from error


def foreign_checkpoint(path: Path, reason: str) -> StorageError:
    """Return the error for a checkpoint that does not belong to this run."""
    return StorageError(
        f"{path}: not a checkpoint of this run: {reason}; delete it, and training starts over"
    )
