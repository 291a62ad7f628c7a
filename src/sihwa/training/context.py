"""Inputs and result that every way of training shares."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import torch

from sihwa.augmentation import AugmentationConfig


@dataclass(frozen=True)
class TrainContext:
    """Where and how a training runs.

    Attributes:
        folder: The run folder, for checkpoints and curves.
        cache_dir: Folder of files that can be computed again.
        device: Device of PyTorch.
        seed: Seeds everything random.
        augmentation: How training images may be changed.
    """

    folder: Path
    cache_dir: Path
    device: torch.device
    seed: int
    augmentation: AugmentationConfig = field(
        default_factory=lambda: AugmentationConfig(name="none")
    )


@dataclass(frozen=True)
class Curve:
    """One figure over the epochs.

    Attributes:
        name: Such as `loss` or `held-out accuracy`.
        value: One value per epoch.
    """

    name: str
    value: tuple[float, ...]


@dataclass(frozen=True)
class TrainResult:
    """How a training went.

    Attributes:
        summary: A few words for the report, such as `C = 0.01`.
        score: Log-loss in nats on held-out training images, which sweeps minimise; None if none
            were held out.
        curves: Figures over the epochs.
        pretrained_backbone: Whether the backbone is unchanged, so that its embeddings are worth
            caching.
    """

    summary: str
    score: float | None
    curves: tuple[Curve, ...] = ()
    pretrained_backbone: bool = False


def world() -> tuple[int, int]:
    """Return the rank of this process and the number of processes, as torchrun sets them."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
