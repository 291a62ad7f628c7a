"""What a finished run made, and the report of it.

Axes: H and W image size, h and w size of the evidence map.
"""

import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import sihwa
from sihwa.audit import Finding
from sihwa.dataset import Manifest
from sihwa.evaluation import Evaluation, Similarity
from sihwa.export import network_facts
from sihwa.images import shrink
from sihwa.inspector import Card, ParityProof
from sihwa.model import Network
from sihwa.reporting import MOST_ERRORS, ErrorImage, Report, write_report
from sihwa.run.calibrate import Calibrated
from sihwa.run.config import TrainConfig
from sihwa.run.robustness import Robustness
from sihwa.training import TrainResult

_SHOWN_SIDE = 1024


@dataclass(frozen=True)
class RunResult:
    """What a finished run made.

    Attributes:
        network: Trained and calibrated.
        evaluation: Figures on the test split.
        robustness: The same under corruption; empty if evaluation.corruptions is.
        similarity: Whether the figures rest on similar images.
        findings: What the audit of the images found, the worst first; empty if it is off.
        card: The inspector's card; None if export.enabled is false.
        proofs: How each runtime compared with the network; empty without an inspector.
    """

    folder: Path
    config: TrainConfig
    manifest: Manifest
    network: Network
    trained: TrainResult
    calibrated: Calibrated
    evaluation: Evaluation
    robustness: Robustness
    similarity: Similarity
    findings: list[Finding]
    card: Card | None
    proofs: list[ParityProof]

    @property
    def inspector(self) -> Path:
        """The inspector folder."""
        return self.folder / "inspector"

    @property
    def report(self) -> Path:
        """The report's page."""
        return self.folder / "report.html"


def write_run_report(result: RunResult) -> None:
    """Write report.html of a run."""
    counts = result.manifest.counts
    report = Report(
        title=f"Inspector for {result.manifest.name}",
        evaluation=result.evaluation,
        facts=_facts(result),
        split_counts={
            split: {name: counts[name][split] for name in result.manifest.classes}
            for split in ("train", "calibration", "test")
        },
        errors=_errors(result),
        similarity=result.similarity,
        claims=[f"{claim.sentence().capitalize()}." for claim in result.calibrated.claims],
        findings=[one.line for one in result.findings],
        robustness={
            kind: [one.accuracy for one in evaluations]
            for kind, evaluations in result.robustness.items()
        },
        curves={curve.name: curve.value for curve in result.trained.curves},
    )
    write_report(result.report, report)


def _facts(result: RunResult) -> list[tuple[str, str]]:
    manifest, config = result.manifest, result.config
    temperature = float(result.network.temperature)
    seen = network_facts(result.network, config.model)
    return [
        ("Inspector", result.card.id if result.card else "none: export.enabled=false"),
        ("Data set", f"{manifest.name}, {manifest.table.num_rows} images"),
        ("Fingerprint of the data", manifest.fingerprint[:16]),
        ("Licence of the data", manifest.licence),
        ("Unreadable images left out", str(len(manifest.dropped))),
        ("Network", f"{config.model.name}, input {seen.input_text()}"),
        ("Training", f"{config.training.name}, {result.trained.summary}"),
        ("Temperature", f"{temperature:.3f}, from the calibration images"),
        ("Seed", str(config.seed)),
        *(("Runtime", proof.verdict()) for proof in result.proofs),
        ("Software", f"sihwa {sihwa.__version__}, PyTorch {torch.__version__}"),
        ("Machine", f"{platform.system()} {platform.machine()}"),
        ("Made", datetime.now(UTC).isoformat(timespec="seconds")),
    ]


def _errors(result: RunResult) -> list[ErrorImage]:
    """Return the test images that got a wrong label, the most confident errors first."""
    manifest, probability = result.manifest, result.calibrated.probability
    label, top = manifest.label_index, probability.argmax(1)
    wrong = np.flatnonzero((manifest.split == "test") & (top != label))
    worst = sorted(wrong.tolist(), key=lambda row: -probability[row, top[row]])[:MOST_ERRORS]
    path = manifest.table["path"].to_pylist()
    return [
        ErrorImage(
            image=_small(image),
            path=path[row],
            true_class=manifest.classes[label[row]],
            predicted_class=manifest.classes[top[row]],
            probability=float(probability[row, top[row]]),
            evidence=_evidence(result.network, image, int(top[row])),
        )
        for row, image in ((row, manifest.read_image(row)) for row in worst)
    ]


def _small(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image (H, W, 3) in the size that a page shows: all are held until it is written."""
    ratio = max(1, max(image.shape) / _SHOWN_SIDE)
    return shrink(image, (ceil(image.shape[0] / ratio), ceil(image.shape[1] / ratio)))


def _evidence(network: Network, image: NDArray[np.uint8], class_index: int) -> NDArray[np.floating]:
    """Return the evidence map (h, w) of one class in an image (H, W, 3)."""
    with torch.inference_mode():
        evidence = network(torch.from_numpy(image[None].copy())).evidence
    return np.asarray(evidence[0, class_index])
