"""One way in for every way of training."""

from sihwa.dataset import Manifest
from sihwa.model import Network
from sihwa.training.config import FinetuneConfig, ProbeConfig, StagesConfig, TrainingConfig
from sihwa.training.context import TrainContext, TrainResult
from sihwa.training.probe import train_probe


def train_network(
    network: Network, manifest: Manifest, config: TrainingConfig, context: TrainContext
) -> TrainResult:
    """Train a network on the training images alone, in place.

    Calibration and test images are not looked at: temperature, thresholds and figures come
    after this, and from them.

    Args:
        network: Backbone and classifier are changed.
        manifest: Every image; those of the split `train` are used.
        config: One of ProbeConfig, FinetuneConfig, StagesConfig.
        work: Where and how it runs.

    Returns:
        How it went.

    Raises:
        SihwaError: Whatever a user can mend.
    """
    # Lightning takes seconds to import, which a probe should not wait for
    match config:
        case ProbeConfig():
            return train_probe(network, manifest, config, context)
        case StagesConfig():
            from sihwa.training.stages import train_stages

            return train_stages(network, manifest, config, context)
        case FinetuneConfig():
            from sihwa.training.finetune import finetune

            return finetune(network, manifest, config, context)
    raise TypeError(f"expected a way of training that is known, got {type(config).__name__}")
