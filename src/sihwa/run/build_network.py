"""The untrained network of a run."""

import torch

from sihwa.dataset import Manifest, largest_size, read_region
from sihwa.errors import ConfigError
from sihwa.model import Network, create_network
from sihwa.run.config import TrainConfig


def build_network(config: TrainConfig, manifest: Manifest) -> Network:
    """Build the network that the settings name, for the classes and images of a manifest.

    Raises:
        ModelError: There is no such network, or its weights are missing or do not fit.
        ConfigError: `dataset.region`, `model.tile_size` or `export.fixed_size` do not suit.
    """
    region = read_region(config.dataset.region, manifest)
    left, top, right, bottom = region.rectangle
    height, width = largest_size(manifest)
    model = config.model.for_images(round(height * (bottom - top)), round(width * (right - left)))
    mask = region.mask
    size = None if mask is None else (mask.shape[0], mask.shape[1])
    framing = model.framing(region.rectangle, size)
    if config.export.fixed_size and not framing.is_whole:
        raise ConfigError(
            "export.fixed_size=true needs a network that sees the whole image, stretched; got "
            "tiles, letterbox or a region. Leave out export.fixed_size, or model.tiles, "
            "model.tile_size, model.fit and dataset.region"
        )
    network = create_network(
        model,
        len(manifest.classes),
        config.seed,
        framing=framing,
        accepted=[manifest.classes.index(name) for name in manifest.accept_classes],
    )
    if mask is not None:
        network.preprocessing.mask.copy_(torch.tensor(mask))
    return network
