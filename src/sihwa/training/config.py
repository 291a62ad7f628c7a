"""What a user may say about training."""

from dataclasses import dataclass, field
from math import inf

from sihwa.errors import ConfigError


@dataclass
class TrainingConfig:
    """What every way of training has in common."""

    name: str = "???"
    """Name of the option, as shown in reports."""


@dataclass
class ProbeConfig(TrainingConfig):
    """A linear classifier on the embeddings of a frozen backbone."""

    strengths: list[float] = field(default_factory=list)
    """Candidate values of C, the inverse of the L2 penalty on standardised embeddings."""
    folds: int = 5
    """Folds of the cross-validation that chooses among them, at least 2."""
    balanced: bool = False
    """Whether rare classes weigh as much as common ones."""
    max_iterations: int = 2000
    """Steps the optimiser may take for one fit, at least 1."""

    def __post_init__(self) -> None:
        """Reject what cannot be fitted."""
        if not self.strengths or not all(0 < value < inf for value in self.strengths):
            raise ConfigError(
                f"training.strengths must be one or more positive numbers, got {self.strengths}"
            )
        if self.folds < 2:
            raise ConfigError(f"training.folds must be at least 2, got {self.folds}")
        if self.max_iterations < 1:
            raise ConfigError(
                f"training.max_iterations must be at least 1, got {self.max_iterations}"
            )
