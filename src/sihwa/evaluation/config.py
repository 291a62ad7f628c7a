"""Settings of the figures on the test split."""

from dataclasses import dataclass, field

from sihwa.augmentation import CORRUPTIONS
from sihwa.errors import ConfigError, check_settings


@dataclass
class EvaluationConfig:
    """Settings of the figures on the test split."""

    confidence: float = 0.95
    """Confidence of every interval, in (0, 1)."""
    resamples: int = 2000
    """Draws for figures without an exact interval, from 100 to 100000."""
    folds: int = 1
    """1 for one run; 2 to 100 for a cross-validation of so many runs, in which every image is in
    the test split exactly once."""
    corruptions: list[str] = field(default_factory=list)
    """Corruptions that repeat the test at five strengths: noise, uneven_light, motion, jpeg."""

    def __post_init__(self) -> None:
        check_settings(
            "evaluation.", self, confidence="(0, 1)", resamples="[100, 100000]", folds="[1, 100]"
        )
        for name in self.corruptions:
            if name not in CORRUPTIONS:
                raise ConfigError(
                    f"evaluation.corruptions must be among {', '.join(CORRUPTIONS)}; got {name!r}"
                )
