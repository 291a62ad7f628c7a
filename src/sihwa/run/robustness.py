"""The test repeated under corruption: what a worse camera would cost.

Axes: N images of one size, H and W image size, K classes.
"""

import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from sihwa.augmentation import STRENGTHS, corrupt, corruption_sheet
from sihwa.dataset import Manifest
from sihwa.evaluation import Evaluation, evaluate, softmax
from sihwa.evaluation.config import EvaluationConfig
from sihwa.images import read_image
from sihwa.model import Network
from sihwa.storage import replacing, write_json
from sihwa.terminal.progress import progress_bar
from sihwa.training import create_embedder, read_batches

log = logging.getLogger(__name__)

Robustness = dict[str, list[Evaluation]]
"""For each kind of corruption the test at each strength, the weakest first."""


def measure_robustness(
    network: Network, manifest: Manifest, config: EvaluationConfig, device: torch.device
) -> Robustness:
    """Repeat the test under every corruption that the settings name.

    Args:
        network: Trained and calibrated.
        manifest: Its test images are corrupted, in memory.
        config: Names the corruptions; empty for none.
        device: Where PyTorch would run.

    Raises:
        UnreadableImage: An image vanished or changed since the manifest was made.
    """
    if not config.corruptions:
        return {}
    rows = np.flatnonzero(manifest.split == "test").tolist()
    label = manifest.label_index[rows]
    keys = [int(content[:8], 16) for content in manifest.table["sha256"].to_pylist()]
    embed = create_embedder(network, device)
    classifier, temperature = network.cpu().classifier, float(network.temperature)

    def name_classes(images: NDArray[np.uint8]) -> NDArray[np.floating]:
        with torch.no_grad():
            logit: NDArray[np.floating] = classifier(torch.from_numpy(embed(images))).numpy()
        return softmax(logit / temperature)

    def test(kind: str, strength: int) -> Evaluation:
        found: dict[int, NDArray[np.floating]] = {}
        for batch, images in read_batches(manifest, rows):
            pairs = zip(batch, images, strict=True)
            worse = np.stack([corrupt(one, kind, strength, keys[row]) for row, one in pairs])
            found.update(zip(batch, name_classes(worse), strict=True))
            advance(len(batch))
        return evaluate(
            np.stack([found[row] for row in rows]),
            label,
            manifest.classes,
            accept_classes=manifest.accept_classes,
            confidence=config.confidence,
            resample_count=100,  # what is resampled is not kept
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


def write_robustness(folder: Path, manifest: Manifest, result: Robustness) -> None:
    """Write corruptions.json and corruptions.png: what was measured, and how it looks.

    Nothing is written where nothing was corrupted.
    """
    if not result:
        return
    names = ("accuracy", "escapes", "overkill")
    content = {
        kind: [
            {"strength": strength, **{n: f.as_dict() for n in names if (f := getattr(one, n))}}
            for strength, one in zip(STRENGTHS, evaluations, strict=True)
        ]
        for kind, evaluations in result.items()
    }
    write_json(folder / "corruptions.json", content)
    first = int(np.flatnonzero(manifest.split == "test")[0])
    image = read_image(manifest.table["path"][first].as_py())
    key = int(manifest.table["sha256"][first].as_py()[:8], 16)
    with replacing(folder / "corruptions.png") as temporary:
        Image.fromarray(corruption_sheet(image, list(result), key)).save(temporary, format="PNG")
