"""One way in for every way of training."""

from collections.abc import Callable
from typing import Any

from sihwa.dataset import Manifest
from sihwa.model import Network
from sihwa.training.config import ProbeConfig, TrainingConfig
from sihwa.training.finetune import finetune
from sihwa.training.finetune_config import FinetuneConfig, StagesConfig
from sihwa.training.interface import Fit, Workplace
from sihwa.training.probe import train_probe
from sihwa.training.stages import train_stages

__all__ = ["train_network"]

_WAYS: dict[type[TrainingConfig], Callable[[Network, Manifest, Any, Workplace], Fit]] = {
    ProbeConfig: train_probe,
    FinetuneConfig: finetune,
    StagesConfig: train_stages,
}


def train_network(
    network: Network, manifest: Manifest, config: TrainingConfig, work: Workplace
) -> Fit:
    """Train a network on the training pictures alone, in place.

    Calibration and test pictures are not looked at: temperature, thresholds and figures come
    after this, and from them.

    Args:
        network: Backbone and classifier are changed.
        manifest: Every picture; those of the split `train` are used.
        config: One of ProbeConfig, FinetuneConfig, StagesConfig.
        work: Where and how it runs.

    Returns:
        How it went.

    Raises:
        SihwaError: Whatever a user can mend.
    """
    return _WAYS[type(config)](network, manifest, config, work)
