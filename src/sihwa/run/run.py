"""One training run: images → network → calibrated probabilities → proven inspector → report."""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from sihwa.dataset import Manifest, read_dataset
from sihwa.decision.fit_policy import require_provable
from sihwa.errors import ConfigError, StorageError, carrying
from sihwa.evaluation import Evaluation, Similarity, Truth, check_similarity, evaluate
from sihwa.export import Trained, export_inspector
from sihwa.inspector import Card, ParityProof
from sihwa.model import Network
from sihwa.run import run_files, run_folder
from sihwa.run.audit_source import audit_run
from sihwa.run.build_network import build_network
from sihwa.run.calibrate import Calibrated, calibrate, calibration_images, calibration_outputs
from sihwa.run.config import TrainConfig
from sihwa.run.processes import choose_device, share_folder
from sihwa.run.robustness import Robustness, measure_robustness
from sihwa.run.run_report import RunResult, write_run_report
from sihwa.storage import usable_folder, write_json
from sihwa.training import TrainContext, TrainResult, embed_manifest, train_network

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """A run that is about to be finished: `Run.start(config).finish()`.

    `folder` holds config.yaml and manifest.parquet. `network` is untrained; `finish` trains and
    calibrates it in place.
    """

    folder: Path
    config: TrainConfig
    manifest: Manifest
    network: Network
    device: torch.device

    @classmethod
    def start(cls, config: TrainConfig) -> Self:
        """Read the images and make the run folder, the last so that an error leaves none behind."""
        device = choose_device(config.device)
        manifest = read_dataset(config.dataset, config.seed)
        with carrying(manifest.notes):  # the log shows them once there is a folder
            require_provable(config.decision, calibration_images(manifest))
            network = build_network(config, manifest)
            try:
                with usable_folder(Path(config.cache_dir).expanduser()):
                    pass
            except StorageError as error:
                raise StorageError(f"cache_dir: {error}. Choose another: cache_dir=PATH") from error
            now = datetime.now().astimezone()
            folder = run_folder.create_run_folder(Path(config.output_dir), now)
            run_files.write_inputs(folder, manifest, config)
        return cls(folder, config, manifest, network, device)

    @classmethod
    def resume(cls, folder: Path, root: str | None = None) -> Self:
        """Resume a run that was killed, interrupted or ran out of disk; results are the same.

        Args:
            folder: Of the run.
            root: Folder to which its images moved; None if they did not.

        Raises:
            ConfigError: It is not a run folder, or the run is finished.
        """
        folder = folder.expanduser().resolve()
        config = run_files.read_config(folder)
        if (folder / "report.html").exists():
            raise ConfigError(f"resume: the run in {folder} is finished; see its report.html")
        device = choose_device(config.device)
        manifest = run_files.read_inputs(folder, root)
        network = build_network(config, manifest)
        return cls(folder, config, manifest, network, device)

    def finish(self) -> RunResult:
        """Train, calibrate, evaluate, export, report.

        Raises:
            DatasetError: The audit found something severe, and dataset.audit is strict.
            ParityError: The exported network decides differently; no inspector is written.
            SihwaError: Training, reading or writing failed; `Run.resume` continues.
        """
        with self._in_folder():
            embedding = self._embed()
            similarity = check_similarity(embedding, self.manifest, self.config.seed)
            findings = audit_run(self.folder, self.manifest, embedding, similarity, self.config)
            trained = self._train()
            calibrated = calibrate(self.network, self.manifest, trained, self.config, self.device)
            evaluation = self._evaluate(calibrated, similarity)
            robustness = self._measure_robustness()
            card, proofs = self._export(calibrated, evaluation)
            inputs = self.folder, self.config, self.manifest, self.network
            figures = evaluation, robustness, similarity, findings
            result = RunResult(*inputs, trained, calibrated, *figures, card, proofs)
            write_run_report(result)
            return result

    @contextlib.contextmanager
    def _in_folder(self) -> Iterator[None]:
        """Hold the folder, log to its train.log, and point `latest` to it at the end."""
        with run_folder.hold_run(self.folder), run_folder.run_log(self.folder / "train.log"):
            with run_folder.advise_to_resume(self.folder):
                run_folder.clear_unfinished(self.folder)
                log.info("run folder %s", self.folder)
                _log_data(self.manifest)
                yield
            if not run_folder.is_fold(self.folder):
                latest = run_folder.point_latest(Path(self.config.output_dir), self.folder)
                log.info("latest: %s", latest)

    def _embed(self) -> NDArray[np.float32]:
        """Return the embeddings of all images by the untrained network, (N, D)."""
        return embed_manifest(
            self.network, self.manifest, cache_dir=Path(self.config.cache_dir), device=self.device
        )

    def _train(self) -> TrainResult:
        framing = self.network.framing
        run_files.write_contact_sheet(self.folder, self.manifest, self.config, framing)
        folder = share_folder(self.folder)
        return _train(self.network, self.manifest, self.config, folder, self.device)

    def _evaluate(self, calibrated: Calibrated, similarity: Similarity) -> Evaluation:
        test = self.manifest.split == "test"
        probability, unknown = calibrated.probability[test], calibrated.unknown[test]
        decisions = calibrated.policy.decide(probability, unknown)
        evaluation = evaluate(
            probability,
            Truth(
                self.manifest.label_index[test],
                self.manifest.classes,
                accept_classes=self.manifest.accept_classes,
                group=np.array(self.manifest.component)[test].tolist(),
                groups_are_parts=self.config.decision.per == "part",
            ),
            outcome=[decision.outcome for decision in decisions],
            config=self.config.evaluation,
            seed=self.config.seed,
        )
        run_files.write_predictions(self.folder, self.manifest, calibrated)
        content = {**evaluation.as_dict(), "similarity": similarity.as_dict()}
        write_json(self.folder / "metrics.json", content)
        return evaluation

    def _measure_robustness(self) -> Robustness:
        config, device = self.config.evaluation, self.device
        robustness = measure_robustness(self.network, self.manifest, config, device)
        run_files.write_robustness(self.folder, self.manifest, robustness)
        return robustness

    def _export(
        self, calibrated: Calibrated, evaluation: Evaluation
    ) -> tuple[Card | None, list[ParityProof]]:
        if not self.config.export.enabled:
            return None, []
        trained = Trained(
            network=self.network,
            manifest=self.manifest,
            probability=calibrated.probability,
            evaluation=evaluation,
            policy=calibrated.policy,
            claims=calibrated.claims,
            calibration=calibration_outputs(self.manifest, calibrated),
            model=self.config.model,
            training=self.config.training,
            seed=self.config.seed,
        )
        return export_inspector(self.folder / "inspector", trained, self.config.export, self.device)


def assist_training(config: TrainConfig) -> None:
    """Train beside the process that runs `Run.finish`, which alone writes to the run folder."""
    device = choose_device(config.device)
    manifest = read_dataset(config.dataset, config.seed)
    network = build_network(config, manifest)
    _train(network, manifest, config, share_folder(None), device)


def _train(
    network: Network, manifest: Manifest, config: TrainConfig, folder: Path, device: torch.device
) -> TrainResult:
    work = TrainContext(folder, Path(config.cache_dir), device, config.seed, config.augmentation)
    return train_network(network, manifest, config.training, work)


def _log_data(manifest: Manifest) -> None:
    counts = f"{manifest.table.num_rows} images, {len(manifest.classes)} classes"
    log.info("%s: %s, fingerprint %s", manifest.name, counts, manifest.fingerprint[:16])
    for name, splits in manifest.counts.items():
        log.info("  %s: %s", name, ", ".join(f"{k} {v}" for k, v in splits.items()))
    for note in manifest.notes:
        log.warning("%s", note)
    if manifest.dropped:
        log.warning("%d unreadable images were dropped:", len(manifest.dropped))
        for image in manifest.dropped:
            log.warning("  %s", image)
