"""Calibration: temperature, unknown score and threshold of a trained network.

Axes: N images, K classes.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sihwa.dataset import Manifest
from sihwa.decision import TopClassPolicy, fit_unknown, unknown_threshold
from sihwa.evaluation import fit_temperature, softmax
from sihwa.model import Network
from sihwa.run.config import TrainConfig
from sihwa.training import TrainResult, embed_tiles

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Calibrated:
    """What the calibrated network gives for every image."""

    probability: NDArray[np.floating]
    """Calibrated probabilities, (N, K)."""
    unknown: NDArray[np.floating]
    """Unknown score: how unlike the training images each is, (N,)."""
    policy: TopClassPolicy
    """Turns both into decisions."""


def calibrate(
    network: Network,
    manifest: Manifest,
    trained: TrainResult,
    config: TrainConfig,
    device: torch.device,
) -> Calibrated:
    """Fit the unknown score on training images, temperature and threshold on calibration images.

    Temperature and unknown score are written into the network.
    """
    cache_dir = Path(config.cache_dir) if trained.pretrained_backbone else None
    tiles = embed_tiles(network, manifest, cache_dir=cache_dir, device=device)
    embedding = tiles.mean(1)
    network.cpu()
    label, train = manifest.label_index, manifest.split == "train"
    projection, centre = fit_unknown(embedding[train], label[train], network.unknown.directions)
    network.unknown.set_classes(torch.from_numpy(projection), torch.from_numpy(centre))
    calibration = manifest.split == "calibration"
    with torch.no_grad():
        logit = network.logits(torch.from_numpy(tiles)).numpy()
        unknown = network.unknown(torch.from_numpy(embedding)).numpy()
    temperature = fit_temperature(logit[calibration], label[calibration])
    network.temperature.fill_(temperature)
    log.info("temperature %.3f, from %d calibration images", temperature, calibration.sum())
    threshold = unknown_threshold(unknown[calibration], config.decision.unknown_rate)
    if threshold is None and config.decision.unknown_rate > 0:
        log.warning(
            f"no image will be called unknown: {calibration.sum()} calibration images are too few "
            f"for decision.unknown_rate={config.decision.unknown_rate:g}"
        )
    policy = TopClassPolicy(manifest.classes, manifest.accept_classes, threshold)
    return Calibrated(softmax(logit / temperature), unknown, policy)
