"""The settings of a training run, and their registration as Hydra schemas."""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore

from sihwa.augmentation import AugmentationConfig
from sihwa.dataset import (
    AutoConfig,
    DatasetConfig,
    ElpvConfig,
    ImageFolderConfig,
    NeuDetConfig,
    PublicSetConfig,
    TabularConfig,
)
from sihwa.decision import (
    CostConfig,
    DecisionConfig,
    EscapeBoundConfig,
    EvenOddsConfig,
    SelectiveConfig,
    TopClassConfig,
)
from sihwa.errors import ConfigError, check_settings
from sihwa.evaluation.config import EvaluationConfig
from sihwa.export.config import ExportConfig
from sihwa.model import ModelConfig
from sihwa.training import FinetuneConfig, ProbeConfig, StagesConfig, TrainingConfig


@dataclass
class TrainConfig:
    """All settings of a training run."""

    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    """The images and their labels."""
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    """Random changes to training images."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """The network."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """How the network is trained."""
    decision: DecisionConfig = field(default_factory=DecisionConfig)
    """How probabilities become accept, reject or review."""
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    """How the network is evaluated."""
    export: ExportConfig = field(default_factory=ExportConfig)
    """How the inspector is exported."""
    seed: int = 0
    """Seeds splits, folds, training and bootstrap; in [0, 4294967295]."""
    device: str = "auto"
    """Where PyTorch runs: auto, cpu or cuda."""
    output_dir: str = "outputs"
    """Folder of all runs; each run writes to <date>/<time> below it."""
    cache_dir: str = "???"
    """Folder of reusable intermediate results: embeddings by image content."""

    def __post_init__(self) -> None:
        check_settings("", self, device=("auto", "cpu", "cuda"), seed="[0, 4294967295]")
        for name in ("output_dir", "cache_dir"):
            if not getattr(self, name).strip():
                raise ConfigError(f"{name} must name a folder; use . for the current directory")
        for name in ("train_per_class", "from_run"):
            if self.evaluation.folds > 1 and getattr(self.dataset.split, name):
                raise ConfigError(
                    "evaluation.folds makes its own splits, so it cannot be combined with "
                    f"dataset.split.{name}; use evaluation.folds=1"
                )


SCHEMAS: dict[str, dict[str, Any]] = {
    "dataset": {
        "auto": AutoConfig,
        "elpv": ElpvConfig,
        "image_folder": ImageFolderConfig,
        "manifest": TabularConfig,
        "neu_det": NeuDetConfig,
        "public": PublicSetConfig,
    },
    "augmentation": {"augmentation": AugmentationConfig},
    "model": {"model": ModelConfig},
    "training": {"finetune": FinetuneConfig, "probe": ProbeConfig, "stages": StagesConfig},
    "decision": {
        "cost": CostConfig,
        "escape_bound": EscapeBoundConfig,
        "even_odds": EvenOddsConfig,
        "selective": SelectiveConfig,
        "top_class": TopClassConfig,
    },
    "evaluation": {"evaluation": EvaluationConfig},
    "export": {"export": ExportConfig},
}
"""Group → name of a schema → its dataclass."""


def register_schemas() -> None:
    """Tell Hydra the type of every setting, so that it refuses a misspelt one."""
    store = ConfigStore.instance()
    store.store(name="schema_train", node=TrainConfig)
    for group, schemas in SCHEMAS.items():
        for name, node in schemas.items():
            store.store(group=f"schema/{group}", name=name, node=node)


def schema_names(config: TrainConfig) -> dict[str, str]:
    """Return the schema of each group of settings: {"dataset": "elpv", ...}."""
    return {
        group: next(name for name, node in schemas.items() if node is type(getattr(config, group)))
        for group, schemas in SCHEMAS.items()
    }
