"""The report of a run: its facts, and the test images it named wrong.

Axes: N images, H and W image size, K classes.
"""

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import sihwa
from sihwa.dataset import Manifest
from sihwa.evaluation import Evaluation
from sihwa.images import read_image
from sihwa.inspector import ParityProof
from sihwa.model import Network
from sihwa.reporting import ErrorImage, Report, write_report
from sihwa.run.config import TrainConfig
from sihwa.run.robustness import Robustness
from sihwa.training import TrainResult

_SHOWN = 24


def write_run_report(
    path: Path,
    *,
    manifest: Manifest,
    probability: NDArray[np.floating],
    evaluation: Evaluation,
    robustness: Robustness,
    network: Network,
    config: TrainConfig,
    inspector: str,
    proof: Sequence[ParityProof],
    fit: TrainResult,
) -> None:
    """Write report.html of a run.

    Args:
        path: The page.
        manifest: Every image, with label and split.
        probability: Probabilities of every image, (N, K).
        evaluation: Figures on the test split.
        robustness: The same under corruption; empty where it was not asked for.
        network: The trained network, for its evidence maps.
        config: All settings of the run.
        inspector: Its id, or why there is none.
        proof: How each runtime compared with the network; empty without an inspector.
        fit: How the training went.
    """
    write_report(
        path,
        Report(
            title=f"Inspector for {manifest.name}",
            evaluation=evaluation,
            facts=_facts(manifest, network, config, inspector, proof, fit),
            split_counts={
                split: {name: manifest.counts[name][split] for name in manifest.classes}
                for split in ("train", "calibration", "test")
            },
            errors=_errors(manifest, probability, network),
            robustness={
                kind: [one.accuracy for one in evaluations]
                for kind, evaluations in robustness.items()
            },
            curves={curve.name: curve.value for curve in fit.curves},
        ),
    )


def _facts(
    manifest: Manifest,
    network: Network,
    config: TrainConfig,
    inspector: str,
    proof: Sequence[ParityProof],
    fit: TrainResult,
) -> list[tuple[str, str]]:
    return [
        ("Inspector", inspector),
        ("Data set", f"{manifest.name}, {manifest.table.num_rows} images"),
        ("Fingerprint of the data", manifest.fingerprint[:16]),
        ("Licence of the data", manifest.licence),
        ("Unreadable images left out", str(len(manifest.dropped))),
        ("Network", f"{config.model.name}, input {config.model.input_size} px"),
        ("Training", f"{config.training.name}, {fit.summary}"),
        ("Temperature", f"{float(network.temperature):.3f}, from the calibration images"),
        ("Seed", str(config.seed)),
        *(("Export", item.verdict()) for item in proof),
        ("Software", f"sihwa {sihwa.__version__}, PyTorch {torch.__version__}"),
        ("Machine", f"{platform.system()} {platform.machine()}"),
        ("Made", datetime.now(UTC).isoformat(timespec="seconds")),
    ]


def _errors(
    manifest: Manifest, probability: NDArray[np.floating], network: Network
) -> list[ErrorImage]:
    """Return the test images named wrong, the most confident errors first."""
    label, top = manifest.label_index, probability.argmax(1)
    wrong = np.flatnonzero((manifest.split == "test") & (top != label))
    worst = sorted(wrong.tolist(), key=lambda row: -probability[row, top[row]])[:_SHOWN]
    path = manifest.table["path"].to_pylist()
    return [
        ErrorImage(
            image=image,
            path=path[row],
            true_class=manifest.classes[label[row]],
            predicted_class=manifest.classes[top[row]],
            probability=float(probability[row, top[row]]),
            evidence=_evidence(network, image, int(top[row])),
        )
        for row, image in ((row, read_image(path[row])) for row in worst)
    ]


def _evidence(network: Network, image: NDArray[np.uint8], class_index: int) -> NDArray[np.floating]:
    with torch.inference_mode():
        evidence = network(torch.from_numpy(image[None].copy())).evidence
    result: NDArray[np.floating] = evidence[0, class_index].numpy()
    return result
