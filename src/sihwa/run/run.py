"""One training run, from settings to a proven inspector and its report.

Axes: N images, H and W image size, D embedding width, K classes.
"""

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sihwa.dataset import Manifest, read_dataset, read_manifest
from sihwa.errors import ConfigError, StorageError
from sihwa.evaluation import Evaluation
from sihwa.export import Trained, export_inspector
from sihwa.inspector import Card, ParityProof
from sihwa.model import Network, create_network
from sihwa.run.calibrate import calibrate, evaluate_test
from sihwa.run.config import TrainConfig
from sihwa.run.processes import share_folder
from sihwa.run.robustness import measure_robustness, write_robustness
from sihwa.run.run_files import (
    read_config,
    write_config,
    write_contact_sheet,
    write_metrics,
    write_predictions,
)
from sihwa.run.run_folder import (
    advising_to_resume,
    clear_unfinished,
    create_run_folder,
    hold_run,
    is_fold,
    point_latest,
)
from sihwa.run.run_log import run_log
from sihwa.run.run_report import write_run_report
from sihwa.storage import usable_folder
from sihwa.training import TrainContext, TrainResult, train_network

log = logging.getLogger(__name__)

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class TrainedRun:
    """What a finished run made.

    Attributes:
        folder: The run folder.
        manifest: Every image with label and split.
        probability: Calibrated probabilities of every image, (N, K).
        evaluation: Figures on the test split.
        card: The inspector's card; None where the settings ask for no inspector.
        proof: How each runtime compared with the network; empty without an inspector.
        seconds: Wall time of the run.
    """

    folder: Path
    manifest: Manifest
    probability: NDArray[np.floating]
    evaluation: Evaluation
    card: Card | None
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
    """Make an inspector: read images, train, calibrate, evaluate, export, prove, report.

    Args:
        config: Validated settings.

    Raises:
        SihwaError: Whatever a user can mend; nothing half-written is left behind.
    """
    begin = time.perf_counter()
    device = choose_device(config.device)
    manifest = read_dataset(config.dataset, config.seed)
    network = create_network(config.model, len(manifest.classes), config.seed)
    _require_cache(Path(config.cache_dir).expanduser())  # before a run folder for nothing
    folder = create_run_folder(Path(config.output_dir), datetime.now().astimezone())
    with _kept(folder):
        log.info("run folder %s", folder)
        _log_data(manifest)
        write_config(folder, config)
        manifest.write(folder / "manifest.parquet")
        run = _complete(folder, manifest, network, config, device, begin)
        log.info("latest: %s", point_latest(Path(config.output_dir), folder))
        return run


def _require_cache(folder: Path) -> None:
    try:
        with usable_folder(folder):
            pass
    except StorageError as error:
        raise StorageError(f"cache_dir: {error}. Name another place with cache_dir=PATH") from error


def train_fold(folder: Path, manifest: Manifest, config: TrainConfig) -> TrainedRun:
    """Make an inspector of images that are divided already, in a folder of its own."""
    begin = time.perf_counter()
    device = choose_device(config.device)
    network = create_network(config.model, len(manifest.classes), config.seed)
    folder.mkdir(parents=True, exist_ok=True)
    with hold_run(folder), run_log(folder / "train.log"):
        # the settings come last: a folder that has them has its division too, and can be resumed
        manifest.write(folder / "manifest.parquet")
        write_config(folder, config)
        return _complete(folder, manifest, network, config, device, begin)


def resume_inspector(folder: Path) -> TrainedRun:
    """Go on with a run that was killed, interrupted or ran out of disk, to the same result.

    Args:
        folder: Its run folder.

    Raises:
        ConfigError: It is no run folder, or the run is finished.
        SihwaError: Whatever a user can mend.
    """
    begin = time.perf_counter()
    folder = folder.expanduser().resolve()
    config = read_config(folder)
    if (folder / "report.html").exists():
        raise ConfigError(f"resume: the run in {folder} is finished; see its report.html")
    if is_fold(folder):
        raise ConfigError(f"resume: {folder.name} is a part of a run; take resume={folder.parent}")
    with _kept(folder):
        run = _go_on(folder, config, begin)
        log.info("latest: %s", point_latest(Path(config.output_dir), folder))
        return run


def resume_fold(folder: Path) -> TrainedRun:
    """Go on with one fold of a cross-validation."""
    begin = time.perf_counter()
    config = read_config(folder)
    with hold_run(folder), run_log(folder / "train.log"):
        return _go_on(folder, config, begin)


def _go_on(folder: Path, config: TrainConfig, begin: float) -> TrainedRun:
    device = choose_device(config.device)
    log.info("going on with %s", folder)
    clear_unfinished(folder)
    if (folder / "manifest.parquet").exists():
        manifest = read_manifest(folder / "manifest.parquet")
    else:
        manifest = read_dataset(config.dataset, config.seed)
        manifest.write(folder / "manifest.parquet")
    network = create_network(config.model, len(manifest.classes), config.seed)
    return _complete(folder, manifest, network, config, device, begin)


def assist_training(config: TrainConfig) -> None:
    """Help another process of this training, which keeps the run folder and does the rest."""
    device = choose_device(config.device)
    manifest = read_dataset(config.dataset, config.seed)
    network = create_network(config.model, len(manifest.classes), config.seed)
    _train(share_folder(None), manifest, network, config, device)


@contextlib.contextmanager
def _kept(folder: Path) -> Iterator[None]:
    """Hold the run folder and log to it; when interrupted, say how to go on."""
    with hold_run(folder), run_log(folder / "train.log"), advising_to_resume(folder):
        yield


def _train(
    folder: Path, manifest: Manifest, network: Network, config: TrainConfig, device: torch.device
) -> TrainResult:
    work = TrainContext(folder, Path(config.cache_dir), device, config.seed, config.augmentation)
    return train_network(network, manifest, config.training, work)


def _complete(
    folder: Path,
    manifest: Manifest,
    network: Network,
    config: TrainConfig,
    device: torch.device,
    begin: float,
) -> TrainedRun:
    """Do everything after the manifest is written."""
    write_contact_sheet(folder, manifest, config)
    fit = _train(share_folder(folder), manifest, network, config, device)
    made = calibrate(network, manifest, fit, config, device)
    evaluation = evaluate_test(manifest, made.probability, config)
    write_predictions(folder, manifest, made.probability, made.unknown, made.policy)
    write_metrics(folder, evaluation)
    robustness = measure_robustness(network, manifest, config.evaluation, device)
    write_robustness(folder, manifest, robustness)
    card: Card | None = None
    proof: list[ParityProof] = []
    if config.export.enabled:
        trained = Trained(
            network,
            manifest,
            made.probability,
            evaluation,
            made.policy,
            config.model,
            config.training,
            config.seed,
        )
        card, proof = export_inspector(folder / "inspector", trained, config.export, device)
    write_run_report(
        folder / "report.html",
        manifest=manifest,
        probability=made.probability,
        evaluation=evaluation,
        robustness=robustness,
        network=network,
        config=config,
        inspector=card.id if card else "none: export.enabled=false",
        proof=proof,
        fit=fit,
    )
    seconds = time.perf_counter() - begin
    return TrainedRun(folder, manifest, made.probability, evaluation, card, proof, seconds)


def choose_device(name: str) -> torch.device:
    """Return where PyTorch runs: `auto` takes a GPU where there is one.

    Raises:
        ConfigError: A GPU was asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device=cuda: PyTorch sees no CUDA device here; use device=cpu or auto")
    has_gpu = name == "cuda" or (name == "auto" and torch.cuda.is_available())
    # of several processes on one machine, each takes a GPU of its own
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if has_gpu else _CPU


def _log_data(manifest: Manifest) -> None:
    log.info(
        "%s: %d images, %d classes, fingerprint %s",
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
        log.warning("%d unreadable images were dropped:", len(manifest.dropped))
        for image in manifest.dropped:
            log.warning("  %s", image)
