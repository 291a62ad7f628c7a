"""One training run, from settings to a proven inspector and its report.

Axes: N images, H and W picture size, D embedding width, K classes.
"""

import logging
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from sihwa.dataset import Manifest, read_dataset
from sihwa.errors import ConfigError
from sihwa.evaluation import Evaluation
from sihwa.inspector import Card, ParityProof
from sihwa.model import create_network
from sihwa.reporting import metrics_table
from sihwa.training import Workplace, train_network
from sihwa.workshop.calibrate import calibrate, evaluate_test
from sihwa.workshop.config import TrainConfig
from sihwa.workshop.export import export_inspector
from sihwa.workshop.records import (
    write_config,
    write_contact_sheet,
    write_metrics,
    write_predictions,
)
from sihwa.workshop.report import write_run_report
from sihwa.workshop.run_folder import create_run_folder, point_latest
from sihwa.workshop.run_log import run_log

__all__ = ["TrainedRun", "train_and_show", "train_inspector"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedRun:
    """What a finished run made.

    Attributes:
        folder: The run folder.
        manifest: Every picture with label and split.
        probability: Calibrated probabilities of every picture, (N, K).
        evaluation: Figures on the test split.
        card: The inspector's card.
        proof: How each runtime compared with the network.
        seconds: Wall time of the run.
    """

    folder: Path
    manifest: Manifest
    probability: NDArray[np.floating]
    evaluation: Evaluation
    card: Card
    proof: list[ParityProof]
    seconds: float

    @property
    def inspector(self) -> Path:
        """The inspector folder."""
        return self.folder / "inspector"

    @property
    def report(self) -> Path:
        """The report's page."""
        return self.folder / "report.html"


def train_inspector(config: TrainConfig) -> TrainedRun:
    """Make an inspector: read pictures, train, calibrate, evaluate, export, prove, report.

    Args:
        config: Validated settings.

    Raises:
        SihwaError: Whatever a user can mend; nothing half-written is left behind.
    """
    begin = time.perf_counter()
    device = _choose_device(config.device)
    manifest = read_dataset(config.dataset, config.seed)
    network = create_network(config.model, len(manifest.classes), config.seed)
    folder = create_run_folder(Path(config.output_dir), datetime.now().astimezone())
    with run_log(folder / "train.log"):
        log.info("run folder %s", folder)
        _log_data(manifest)
        write_config(folder, config)
        manifest.write(folder / "manifest.parquet")
        write_contact_sheet(folder, manifest, config)
        work = Workplace(folder, Path(config.cache_dir), device, config.seed, config.augmentation)
        fit = train_network(network, manifest, config.training, work)
        trained = calibrate(network, manifest, fit, config, device)
        evaluation = evaluate_test(manifest, trained.probability, config)
        write_predictions(folder, manifest, trained.probability, trained.unknown, trained.policy)
        write_metrics(folder, evaluation)
        card, proof = export_inspector(
            folder / "inspector", network, manifest, evaluation, trained.policy, config, device
        )
        write_run_report(
            folder / "report.html",
            manifest=manifest,
            probability=trained.probability,
            evaluation=evaluation,
            network=network,
            card=card,
            proof=proof,
            fit=fit,
        )
        log.info("latest: %s", point_latest(Path(config.output_dir), folder))
    seconds = time.perf_counter() - begin
    return TrainedRun(folder, manifest, trained.probability, evaluation, card, proof, seconds)


def train_and_show(config: TrainConfig) -> None:
    """Make an inspector and print its figures and where everything lies."""
    run = train_inspector(config)
    console = Console()
    console.print(metrics_table(run.evaluation))
    console.print(
        f"inspector {run.card.id}: {run.inspector}\nreport: {run.report}\n"
        f"{run.seconds:.1f} s from settings to report; decides as the trained network on all "
        f"{run.proof[0].images} test pictures",
        soft_wrap=True,
        highlight=False,
    )


def _choose_device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device=cuda: PyTorch sees no CUDA device here; use device=cpu or auto")
    has_gpu = name == "cuda" or (name == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if has_gpu else "cpu")


def _log_data(manifest: Manifest) -> None:
    log.info(
        "%s: %d pictures, %d classes, fingerprint %s",
        manifest.name,
        manifest.table.num_rows,
        len(manifest.classes),
        manifest.fingerprint[:16],
    )
    for name, splits in manifest.counts.items():
        log.info("  %s: %s", name, ", ".join(f"{k} {v}" for k, v in splits.items()))
    for note in manifest.notes:
        log.warning("%s", note)
    if manifest.dropped:
        log.warning("%d unreadable pictures were dropped:", len(manifest.dropped))
        for image in manifest.dropped:
            log.warning("  %s", image)
