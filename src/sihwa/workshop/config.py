"""The settings of a training run, and their registration as Hydra schemas."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore

from sihwa.augmentation import CORRUPTIONS, AugmentationConfig
from sihwa.dataset import (
    DatasetConfig,
    ElpvConfig,
    ImageFolderConfig,
    NeuDetConfig,
    TabularConfig,
)
from sihwa.decision import DecisionConfig
from sihwa.errors import ConfigError
from sihwa.model import ModelConfig
from sihwa.training import FinetuneConfig, ProbeConfig, StagesConfig, TrainingConfig

__all__ = [
    "EvaluationConfig",
    "ExportConfig",
    "TrainConfig",
    "register_schemas",
    "schema_names",
    "schema_nodes",
]

DEVICES = ("auto", "cpu", "cuda")
_GREATEST_SEED = 2**32 - 1
_MOST_RESAMPLES = 100_000
MAX_PICTURES = 200


@dataclass
class EvaluationConfig:
    """How the figures on the test split are made."""

    confidence: float = 0.95
    """Confidence of every interval, in (0, 1)."""
    resamples: int = 2000
    """Bootstrap resamples for figures without an exact interval, from 100 to 100000."""
    folds: int = 1
    """1 for one division into train, calibration and test; from 2 to 100, that many of them, with
    every picture in test exactly once, and the mean and deviation of the figures."""
    corruptions: list[str] = field(default_factory=list)
    """What the test is repeated under, at five strengths: noise, uneven_light, motion, jpeg."""

    def __post_init__(self) -> None:
        """Reject what gives no interval."""
        if not 0 < self.confidence < 1:
            raise ConfigError(f"evaluation.confidence must be in (0, 1), got {self.confidence}")
        if not 100 <= self.resamples <= _MOST_RESAMPLES:
            raise ConfigError(
                f"evaluation.resamples must be in [100, {_MOST_RESAMPLES}], got {self.resamples}"
            )
        if not 1 <= self.folds <= 100:
            raise ConfigError(f"evaluation.folds must be in [1, 100], got {self.folds}")
        for name in self.corruptions:
            if name not in CORRUPTIONS:
                raise ConfigError(
                    f"evaluation.corruptions must be among {', '.join(CORRUPTIONS)}; got {name!r}"
                )


@dataclass
class ExportConfig:
    """How the inspector is proven before it ships."""

    enabled: bool = True
    """Whether to make an inspector; without, a run ends with its figures, which takes less time."""
    max_difference: float = 1e-4
    """Greatest allowed difference in probability between the float32 graph and the network."""
    int8: bool = False
    """Whether to make an 8-bit twin of the graph, which leaves close calls to float32; kept only if
    it decides alike and is faster. Making it takes some minutes."""
    max_int8_flips: int = 0
    """How many test pictures the 8-bit twin may decide otherwise, at least 0."""
    pictures: int = 32
    """How many calibration pictures the inspector keeps, so that the PC that will run it can
    verify it on real ones: 0 to 200. Whoever gets the inspector gets them too."""

    def __post_init__(self) -> None:
        """Reject a tolerance that would let anything pass."""
        if not 0 < self.max_difference <= 0.01:
            raise ConfigError(
                f"export.max_difference must be in (0, 0.01], got {self.max_difference}"
            )
        if self.max_int8_flips < 0:
            raise ConfigError(
                f"export.max_int8_flips must be at least 0, got {self.max_int8_flips}"
            )
        if self.int8 and not self.enabled:
            raise ConfigError(
                "export.int8=true needs an inspector to add the 8-bit twin to, which export=none "
                "does not make; leave one of them out"
            )
        if not 0 <= self.pictures <= MAX_PICTURES:
            raise ConfigError(
                f"export.pictures must be in [0, {MAX_PICTURES}], got {self.pictures}"
            )


@dataclass
class TrainConfig:
    """Everything a training run is told."""

    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    """The pictures and their labels."""
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    """What may happen to a training picture."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """The network."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """How its weights are found."""
    decision: DecisionConfig = field(default_factory=DecisionConfig)
    """How probabilities become accept, reject or review."""
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    """How it is measured."""
    export: ExportConfig = field(default_factory=ExportConfig)
    """How it is shipped."""
    seed: int = 0
    """Seeds splits, folds, training and bootstrap; in [0, 4294967295]."""
    device: str = "auto"
    """Where PyTorch runs: auto, cpu or cuda."""
    output_dir: str = "outputs"
    """Folder of all runs; each gets <date>/<time> below it."""
    cache_dir: str = "???"
    """Folder of what can be computed again: embeddings by picture content."""

    def __post_init__(self) -> None:
        """Reject an unknown device or a negative seed."""
        if self.device not in DEVICES:
            raise ConfigError(f"device must be one of {', '.join(DEVICES)}; got {self.device!r}")
        if not 0 <= self.seed <= _GREATEST_SEED:
            raise ConfigError(f"seed must be in [0, {_GREATEST_SEED}], got {self.seed}")
        for name in ("output_dir", "cache_dir"):
            if not getattr(self, name).strip():
                raise ConfigError(f"{name} must name a folder, got nothing; . is the current one")
        if self.evaluation.folds > 1 and self.dataset.split.train_per_class:
            raise ConfigError(
                "evaluation.folds divides all pictures anew, so it cannot be joined with "
                "dataset.split.train_per_class; use evaluation.folds=1 and several seeds"
            )


_SCHEMAS: dict[str, dict[str, Any]] = {
    "dataset": {
        "elpv": ElpvConfig,
        "image_folder": ImageFolderConfig,
        "manifest": TabularConfig,
        "neu_det": NeuDetConfig,
    },
    "augmentation": {"augmentation": AugmentationConfig},
    "model": {"model": ModelConfig},
    "training": {"finetune": FinetuneConfig, "probe": ProbeConfig, "stages": StagesConfig},
    "decision": {"decision": DecisionConfig},
    "evaluation": {"evaluation": EvaluationConfig},
    "export": {"export": ExportConfig},
}


def register_schemas() -> None:
    """Tell Hydra the type of every setting, so that a misspelt one fails by name."""
    store = ConfigStore.instance()
    store.store(name="schema_train", node=TrainConfig)
    for group, schemas in _SCHEMAS.items():
        for name, node in schemas.items():
            store.store(group=f"schema/{group}", name=name, node=node)


def schema_names(config: TrainConfig) -> dict[str, str]:
    """Return the schema of each group of settings: {"dataset": "elpv", ...}."""
    return {
        group: next(name for name, node in schemas.items() if node is type(getattr(config, group)))
        for group, schemas in _SCHEMAS.items()
    }


def schema_nodes(names: Mapping[str, str]) -> dict[str, Any]:
    """Return the dataclass of each group, given the names of their schemas.

    Raises:
        KeyError: There is no such group or schema.
    """
    return {group: _SCHEMAS[group][name] for group, name in names.items()}
