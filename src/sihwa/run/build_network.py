"""The untrained network of a run."""

from sihwa.dataset import Manifest
from sihwa.model import Network, create_network
from sihwa.run.config import TrainConfig


def build_network(config: TrainConfig, manifest: Manifest) -> Network:
    """Build the network that the settings name, for a manifest's classes.

    Raises:
        ModelError: There is no such network, or its weights are missing or do not fit.
    """
    accepted = [manifest.classes.index(name) for name in manifest.accept_classes]
    return create_network(config.model, len(manifest.classes), config.seed, accepted=accepted)
