"""Calibration: temperature, unknown score and threshold of a trained network.

Axes: N images, K classes.
"""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sihwa.dataset import Manifest
from sihwa.decision import Policy, fit_unknown
from sihwa.decision.calibration import Calibration, Claim
from sihwa.decision.fit_policy import fit_policy
from sihwa.evaluation import fit_temperature, group_index, softmax
from sihwa.inspector.calibration_file import CalibrationOutputs
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
    policy: Policy
    """Turns both into decisions."""
    claims: tuple[Claim, ...]
    """What the calibration images prove of the policy."""


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
    probability = softmax(logit / temperature)
    fitted = fit_policy(
        config.decision,
        replace(
            calibration_images(manifest),
            probability=probability[calibration],
            unknown=unknown[calibration],
        ),
    )
    if fitted.unknown_note:
        log.warning(fitted.unknown_note)
    for claim in fitted.claims:
        log.info("%s", claim.sentence())
    return Calibrated(probability, unknown, fitted.policy, fitted.claims)


def calibration_images(manifest: Manifest) -> Calibration:
    """Return the calibration images before anything is known of them but label and group."""
    rows = np.flatnonzero(manifest.split == "calibration")
    return Calibration(
        classes=manifest.classes,
        accept_classes=manifest.accept_classes,
        probability=np.zeros((len(rows), len(manifest.classes))),
        unknown=np.zeros(len(rows)),
        label=manifest.label_index[rows],
        group=[manifest.component[row] for row in rows.tolist()],
    )


def calibration_outputs(manifest: Manifest, calibrated: Calibrated) -> CalibrationOutputs:
    """Return what an inspector keeps of the calibration images."""
    rows = np.flatnonzero(manifest.split == "calibration")
    group = group_index([manifest.component[row] for row in rows.tolist()])
    return CalibrationOutputs(
        probability=calibrated.probability[rows].astype(np.float32),
        unknown=calibrated.unknown[rows].astype(np.float32),
        label=manifest.label_index[rows].astype(np.int32),
        group=group.astype(np.int32),
    )
