"""Entry point of every way of training, what it needs and what it returns."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import torch

from sihwa.augmentation import AugmentationConfig
from sihwa.dataset import Manifest
from sihwa.model import Network
from sihwa.training.config import FinetuneConfig, ProbeConfig, TrainingConfig


@dataclass(frozen=True)
class TrainContext:
    """Where and how a training runs."""

    folder: Path
    """The run folder, for checkpoints and curves."""
    cache_dir: Path
    """Folder of files that can be computed again."""
    device: torch.device
    seed: int
    augmentation: AugmentationConfig = field(
        default_factory=lambda: AugmentationConfig(name="none")
    )


@dataclass(frozen=True)
class Curve:
    """One figure over the epochs, such as `loss` or `held-out accuracy`."""

    name: str
    value: tuple[float, ...]


@dataclass(frozen=True)
class TrainResult:
    """How a training went."""

    summary: str
    """A few words for the report, such as `C = 0.01`."""
    score: float | None
    """Log-loss in nats on held-out training images, which sweeps minimise; None without any."""
    curves: tuple[Curve, ...] = ()
    pretrained_backbone: bool = False
    """Whether the backbone is unchanged, so that its embeddings are worth caching."""


def world() -> tuple[int, int]:
    """Return the rank of this process and the number of processes, as torchrun sets them."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def train_network(
    network: Network, manifest: Manifest, config: TrainingConfig, context: TrainContext
) -> TrainResult:
    """Train a network on the images of the split `train`, in place.

    Calibration and test images are not read: temperature, thresholds and figures come later.

    Args:
        network: Backbone and classifier are changed.
        manifest: Every image of the data set.
        config: One of ProbeConfig, FinetuneConfig, StagesConfig.
        context: Where to train.

    Raises:
        ConfigError: The device lacks the precision, MLflow refuses its address, or several
            processes run `training=stages`.
        DatasetError: A class has too few independent images to hold any out to choose by.
        UnreadableImage: An image is gone or changed since the manifest was made.
        ParityError: The runtime of the frozen layers differs from PyTorch.
        StorageError: A checkpoint, the images or the activations cannot be kept.
        TrainingDiverged: Loss or weights are not finite.
    """
    match config:
        case ProbeConfig():
            from sihwa.training.probe import train_probe

            return train_probe(network, manifest, config, context)
        case FinetuneConfig():
            from sihwa.training.finetune import finetune

            return finetune(network, manifest, config, context)
    raise TypeError(f"expected a known TrainingConfig, got {type(config).__name__}")
