"""What every way of training is given besides network and images, and what it gives back."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import torch

from sihwa.augmentation import AugmentationConfig


@dataclass(frozen=True)
class TrainContext:
    """Where and how a training runs.

    Attributes:
        folder: The run folder: checkpoints and logs go there.
        cache_dir: Folder of what can be computed again.
        device: Where PyTorch runs.
        seed: Seeds everything random.
        augmentation: What may happen to a training image.
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
        name: What it is, such as `loss` or `held-out accuracy`.
        value: One value per epoch, from the first on.
    """

    name: str
    value: tuple[float, ...]


@dataclass(frozen=True)
class TrainResult:
    """How a training went.

    Attributes:
        summary: In a few words, for the report: `C = 0.01`.
        score: Log-loss in nats on training images that were held out; None where none were. The
            lower, the better: sweeps compare by it.
        curves: Figures over the epochs.
        pretrained_backbone: Whether the backbone is still the pretrained one, so that its
            embeddings are worth remembering.
    """

    summary: str
    score: float | None
    curves: tuple[Curve, ...] = ()
    pretrained_backbone: bool = False


def world() -> tuple[int, int]:
    """Return this process's number and how many there are, as torchrun says."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
