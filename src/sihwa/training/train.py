"""Entry point of every way of training."""

from sihwa.dataset import Manifest
from sihwa.model import Network
from sihwa.training.config import FinetuneConfig, ProbeConfig, StagesConfig, TrainingConfig
from sihwa.training.context import TrainContext, TrainResult
from sihwa.training.probe import train_probe


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
    """
    match config:
        case ProbeConfig():
            return train_probe(network, manifest, config, context)
        case StagesConfig():
            from sihwa.training.stages import train_stages

            return train_stages(network, manifest, config, context)
        case FinetuneConfig():
            from sihwa.training.finetune import finetune

            return finetune(network, manifest, config, context)
    raise TypeError(f"expected a known TrainingConfig, got {type(config).__name__}")
