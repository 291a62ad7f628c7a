"""Robustness: the test repeated on corrupted images."""

import logging
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from sihwa.augmentation import STRENGTHS, corrupt
from sihwa.dataset import Manifest
from sihwa.evaluation import Evaluation, Truth, evaluate, softmax
from sihwa.evaluation.config import EvaluationConfig
from sihwa.model import Network
from sihwa.terminal.progress import progress_bar
from sihwa.training import create_embedder, read_batches

log = logging.getLogger(__name__)

Robustness = dict[str, list[Evaluation]]
"""Kind of corruption → the test at each strength, weakest first."""


def measure_robustness(
    network: Network, manifest: Manifest, config: EvaluationConfig, device: torch.device
) -> Robustness:
    """Repeat the test under every corruption of the settings; images are corrupted in memory."""
    if not config.corruptions:
        return {}
    rows = np.flatnonzero(manifest.split == "test").tolist()
    label, component = manifest.label_index[rows], manifest.component
    keys = [int(content[:8], 16) for content in manifest.table["sha256"].to_pylist()]
    embed = create_embedder(network, device)
    temperature = float(network.cpu().temperature)

    def probabilities_of(images: NDArray[np.uint8]) -> NDArray[np.floating]:
        with torch.no_grad():
            logit: NDArray[np.floating] = network.logits(torch.from_numpy(embed(images))).numpy()
        return softmax(logit / temperature)

    def test(kind: str, strength: int) -> Evaluation:
        found: dict[int, NDArray[np.floating]] = {}
        for batch, images in read_batches(manifest, rows):
            pairs = zip(batch, images, strict=True)
            corrupted = np.stack([corrupt(one, kind, strength, keys[row]) for row, one in pairs])
            found.update(zip(batch, probabilities_of(corrupted), strict=True))
            advance(len(batch))
        return evaluate(
            np.stack([found[row] for row in rows]),
            Truth(
                label,
                manifest.classes,
                accept_classes=manifest.accept_classes,
                group=[component[row] for row in rows],
            ),
            config=replace(config, resamples=100),
        )

    result = {}
    total = len(rows) * len(config.corruptions) * len(STRENGTHS)
    with progress_bar("corrupted", total) as advance:
        for kind in config.corruptions:
            result[kind] = [test(kind, strength) for strength in STRENGTHS]
            log.info("under %s: accuracy %s", kind, ", ".join(map(_accuracy, result[kind])))
    return result


def _accuracy(evaluation: Evaluation) -> str:
    return f"{100 * (evaluation.accuracy.value or 0):.2f} %"
