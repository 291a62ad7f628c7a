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
from sihwa.decision import TopClassPolicy, unknown_threshold
from sihwa.errors import ConfigError
from sihwa.evaluation import Evaluation, evaluate, fit_temperature, softmax
from sihwa.inspector import Card, ParityProof
from sihwa.model import Network, create_network
from sihwa.reporting import metrics_table
from sihwa.training import ProbeConfig, ProbeFit, embed_manifest, fit_probe, fit_unknown
from sihwa.workshop.config import TrainConfig
from sihwa.workshop.export import export_inspector
from sihwa.workshop.records import write_config, write_metrics, write_predictions
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
        trained = _train(network, manifest, config, device)
        evaluation = _evaluate(manifest, trained.probability, config)
        write_predictions(folder, manifest, trained.probability, trained.unknown, trained.policy)
        write_metrics(folder, evaluation)
        card, proof = export_inspector(
            folder / "inspector",
            network,
            manifest,
            evaluation,
            trained.policy,
            trained.probability,
            config,
            device,
        )
        write_run_report(
            folder / "report.html",
            manifest=manifest,
            probability=trained.probability,
            evaluation=evaluation,
            network=network,
            card=card,
            proof=proof,
            fit=trained.fit,
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


@dataclass(frozen=True)
class _Trained:
    """What is known of every picture once the network is trained and calibrated."""

    probability: NDArray[np.floating]
    unknown: NDArray[np.floating]
    policy: TopClassPolicy
    fit: ProbeFit


def _train(
    network: Network, manifest: Manifest, config: TrainConfig, device: torch.device
) -> _Trained:
    """Train the network on the training pictures and calibrate it, in place."""
    assert isinstance(config.training, ProbeConfig)
    embedding = embed_manifest(network, manifest, cache_dir=Path(config.cache_dir), device=device)
    label, train = manifest.label_index, manifest.split == "train"
    component = np.asarray(manifest.component)[train].tolist()
    fit = fit_probe(
        network, embedding[train], label[train], component, config.training, seed=config.seed
    )
    log.info("probe: C = %g (log-loss %.4f)", fit.strength, fit.log_loss[fit.strength])
    if not fit.converged:
        log.warning("the probe stopped before it converged: raise training.max_iterations")
    fit_unknown(network, embedding[train], label[train])
    return _calibrate(network, manifest, embedding, fit, config)


def _calibrate(
    network: Network,
    manifest: Manifest,
    embedding: NDArray[np.float32],
    fit: ProbeFit,
    config: TrainConfig,
) -> _Trained:
    """Find temperature and thresholds on the calibration pictures alone."""
    calibration = manifest.split == "calibration"
    with torch.no_grad():
        tensor = torch.from_numpy(embedding)
        logit, unknown = network.classifier(tensor).numpy(), network.unknown(tensor).numpy()
    temperature = fit_temperature(logit[calibration], manifest.label_index[calibration])
    network.temperature.fill_(temperature)
    log.info("temperature %.3f, from %d calibration pictures", temperature, calibration.sum())
    threshold = unknown_threshold(unknown[calibration], config.decision.unknown_rate)
    if threshold is None and config.decision.unknown_rate > 0:
        log.warning(
            "no picture will be called unknown: %d calibration pictures cannot promise "
            "decision.unknown_rate=%g",
            calibration.sum(),
            config.decision.unknown_rate,
        )
    policy = TopClassPolicy(manifest.classes, manifest.accept_classes, threshold)
    return _Trained(softmax(logit / temperature), unknown, policy, fit)


def _evaluate(
    manifest: Manifest, probability: NDArray[np.floating], config: TrainConfig
) -> Evaluation:
    test = manifest.split == "test"
    return evaluate(
        probability[test],
        manifest.label_index[test],
        manifest.classes,
        accept_classes=manifest.accept_classes,
        confidence=config.evaluation.confidence,
        resample_count=config.evaluation.resamples,
        seed=config.seed,
    )
