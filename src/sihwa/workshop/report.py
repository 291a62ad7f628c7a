"""The report of a run: its facts, and the test pictures it named wrong.

Axes: N images, H and W picture size, K classes.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sihwa.dataset import Manifest
from sihwa.evaluation import Evaluation
from sihwa.images import read_image
from sihwa.inspector import Card, ParityProof
from sihwa.model import Network
from sihwa.reporting import ErrorPicture, Report, write_report
from sihwa.training import Fit

__all__ = ["write_run_report"]

_SHOWN = 24


def write_run_report(
    path: Path,
    *,
    manifest: Manifest,
    probability: NDArray[np.floating],
    evaluation: Evaluation,
    network: Network,
    card: Card,
    proof: Sequence[ParityProof],
    fit: Fit,
) -> None:
    """Write report.html of a run.

    Args:
        path: The page.
        manifest: Every picture, with label and split.
        probability: Probabilities of every picture, (N, K).
        evaluation: Figures on the test split.
        network: The trained network, for its evidence maps.
        card: The inspector's card.
        proof: How each runtime compared with the network.
        fit: How the training went.
    """
    write_report(
        path,
        Report(
            title=f"Inspector for {manifest.name}",
            evaluation=evaluation,
            facts=_facts(manifest, card, proof, fit),
            split_counts={
                split: {name: manifest.counts[name][split] for name in manifest.classes}
                for split in ("train", "calibration", "test")
            },
            errors=_errors(manifest, probability, network),
            curves={curve.name: curve.value for curve in fit.curves},
        ),
    )


def _facts(
    manifest: Manifest, card: Card, proof: Sequence[ParityProof], fit: Fit
) -> list[tuple[str, str]]:
    environment = card.environment
    return [
        ("Inspector", card.id),
        ("Data set", f"{manifest.name}, {manifest.table.num_rows} pictures"),
        ("Fingerprint of the data", manifest.fingerprint[:16]),
        ("Licence of the data", manifest.licence),
        ("Unreadable pictures left out", str(len(manifest.dropped))),
        ("Network", f"{card.network['name']}, input {card.network['input_size']} px"),
        ("Training", f"{card.training['name']}, {fit.summary}"),
        ("Temperature", f"{card.temperature:.3f}, from the calibration pictures"),
        ("Seed", str(card.training["seed"])),
        ("Export", "; ".join(_describe(item) for item in proof)),
        ("Software", f"sihwa {card.code_version}, PyTorch {environment['torch']}"),
        ("Machine", f"{environment['system']} {environment['machine']}"),
        ("Made", card.created),
    ]


def _describe(proof: ParityProof) -> str:
    return (
        f"{proof.runtime} {proof.precision} decides alike in {proof.images} comparisons, "
        f"within {proof.greatest_difference:.0e}"
    )


def _errors(
    manifest: Manifest, probability: NDArray[np.floating], network: Network
) -> list[ErrorPicture]:
    """Return the test pictures named wrong, the most confident errors first."""
    label, top = manifest.label_index, probability.argmax(1)
    wrong = np.flatnonzero((manifest.split == "test") & (top != label))
    worst = sorted(wrong.tolist(), key=lambda row: -probability[row, top[row]])[:_SHOWN]
    path = manifest.table["path"].to_pylist()
    return [
        ErrorPicture(
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
