"""What a finished run made."""

from dataclasses import dataclass
from pathlib import Path

from sihwa.dataset import Manifest
from sihwa.evaluation import Evaluation
from sihwa.inspector import Card, ParityProof
from sihwa.model import Network
from sihwa.run.calibrate import Calibrated
from sihwa.run.config import TrainConfig
from sihwa.run.robustness import Robustness
from sihwa.training import TrainResult


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a finished run made.

    Attributes:
        folder: The run folder.
        config: Its settings.
        manifest: Every image with label and split.
        network: Trained and calibrated.
        trained: How the training went.
        calibrated: Calibrated probabilities of every image, and the policy.
        evaluation: Figures on the test split.
        robustness: The same under corruption; empty if evaluation.corruptions is.
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
