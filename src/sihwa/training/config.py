"""Settings of training."""

from dataclasses import dataclass, field
from importlib.util import find_spec
from math import inf

from sihwa.errors import ConfigError, check_settings
from sihwa.training.losses import LOSSES


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
    """Folds of the cross-validation that chooses among them, in [2, 1000]."""
    balanced: bool = False
    """Whether rare classes weigh as much as common ones."""
    max_iterations: int = 2000
    """Steps the optimiser may take for one fit, in [1, 1000000]."""

    def __post_init__(self) -> None:
        if not self.strengths or not all(0 < value < inf for value in self.strengths):
            raise ConfigError(
                f"training.strengths must be one or more positive numbers, got {self.strengths}"
            )
        check_settings("training.", self, folds="[2, 1000]", max_iterations="[1, 1000000]")


@dataclass
class OptimizerConfig:
    """How weights are updated."""

    name: str = "adamw"
    """`adamw`, or `sgd` with Nesterov momentum 0.9."""
    learning_rate: float = 1e-3
    """Peak rate of the last block, in [1e-7, 10]."""
    head_rate: float = 10.0
    """How many times faster the classifier learns than the last block, in [0, 1000]."""
    layer_decay: float = 0.9
    """Rate of each block as a share of the next block's, in [0.01, 1]; 1 is the same for all."""
    weight_decay: float = 0.02
    """Decay of the weights, biases and norms excepted, in [0, 1]."""
    warmup: float = 0.1
    """Share of all steps in which the rate rises, in [0, 1); then it falls as a cosine to zero."""
    clip: float = 1.0
    """Greatest norm of the gradient, in [0, 1000]; longer ones are scaled down. 0: no clipping."""
    accumulate: int = 1
    """Batches whose gradients are added up before each step, in [1, 1024]."""

    def __post_init__(self) -> None:
        check_settings(
            "training.optimizer.",
            self,
            name=("adamw", "sgd"),
            learning_rate="[1e-7, 10]",
            head_rate="[0, 1000]",
            layer_decay="[0.01, 1]",
            weight_decay="[0, 1]",
            warmup="[0, 1)",
            clip="[0, 1000]",
            accumulate="[1, 1024]",
        )


@dataclass
class LossConfig:
    """What is minimised."""

    name: str = "cross_entropy"
    """`cross_entropy`, or `focal`: easy images count less (Lin et al. 2017, arXiv 1708.02002)."""
    gamma: float = 2.0
    """Focusing exponent γ of `focal`, in [0, 10]."""
    label_smoothing: float = 0.0
    """Share of each label that is spread over all classes, in [0, 0.5]."""
    class_balance: float = 0.0
    """β of class-balanced weights, in [0, 1); near 1 weighs by inverse frequency (Cui et al. 2019,
    arXiv 1901.05555)."""
    logit_adjustment: float = 0.0
    """τ of logit adjustment, a larger margin for rare classes, in [0, 5]; 1 aims at balanced
    error (Menon et al. 2020, arXiv 2007.07314)."""

    def __post_init__(self) -> None:
        check_settings(
            "training.loss.",
            self,
            name=tuple(LOSSES),
            gamma="[0, 10]",
            label_smoothing="[0, 0.5]",
            class_balance="[0, 1)",
            logit_adjustment="[0, 5]",
        )


@dataclass
class MixConfig:
    """Mixing pairs of training images, and their labels in the same proportion."""

    mixup: float = 0.0
    """Parameter α of the Beta distribution of the blend, 0 (off) or in [0.001, 10] (Zhang et al.
    2017, arXiv 1710.09412)."""
    cutmix: float = 0.0
    """The same for pasting a rectangle of one image into the other (Yun et al. 2019, arXiv
    1905.04899)."""

    def __post_init__(self) -> None:
        for name, alpha in (("mix.mixup", self.mixup), ("mix.cutmix", self.cutmix)):
            # closer to 0 the distribution exceeds single precision
            if alpha and not 0.001 <= alpha <= 10:
                raise ConfigError(f"training.{name} must be 0 or in [0.001, 10], got {alpha}")


@dataclass
class SelectionConfig:
    """Which epoch's weights are kept: the last, or the best on images held out of training."""

    held_out: float = 0.0
    """Share of the training images held out to choose by, in [0, 0.5]; 0 keeps the last epoch.
    Calibration and test images are never used for it."""
    metric: str = "log_loss"
    """Selects the epoch: lowest log_loss, or highest accuracy, balanced_accuracy or macro_f1."""
    patience: int = 0
    """Epochs without improvement after which training ends, in [0, 1000]; 0 never ends early."""

    def __post_init__(self) -> None:
        check_settings(
            "training.selection.",
            self,
            held_out="[0, 0.5]",
            metric=("log_loss", "accuracy", "balanced_accuracy", "macro_f1"),
            patience="[0, 1000]",
        )
        if self.patience and not self.held_out:
            raise ConfigError(
                "training.selection.patience: early stopping needs held-out images; set "
                "training.selection.held_out, for example to 0.1"
            )


@dataclass
class FinetuneConfig(TrainingConfig):
    """Gradient descent on the whole network or its last blocks, starting from the probe."""

    epochs: int = 20
    """Passes over the training images, in [1, 10000]."""
    batch_size: int = 32
    """Images per step, over all processes, in [1, 65536]."""
    trained_share: float = 1.0
    """Share of the network's arithmetic, from its end, that is trained, in [0.001, 1]."""
    start: str = "probe"
    """Where the classifier starts: `probe` (fitted to the untrained network), or `zero`."""
    strength: float = 0.003
    """Inverse penalty C of that probe on standardised embeddings, in [1e-6, 100]."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """How weights are updated."""
    loss: LossConfig = field(default_factory=LossConfig)
    """What is minimised."""
    mix: MixConfig = field(default_factory=MixConfig)
    """Mixup and cutmix."""
    selection: SelectionConfig = field(default_factory=SelectionConfig)
    """Which epoch is kept, and early stopping."""
    ema: float = 0.98
    """Decay per step of the running average of the weights, in [0, 1). The average is kept; 0
    keeps the weights themselves."""
    dropout: float = 0.0
    """Share of the embedding that is dropped at random while training, in [0, 1)."""
    norm: str = "train"
    """Batch norms: `train` follows each batch, `frozen` keeps the pretrained statistics."""
    oversample: float = 0.0
    """Strength of oversampling, in [0, 1]: 0 draws every image once an epoch, 1 every class equally
    often."""
    precision: str = "auto"
    """`fp32`, `bf16`, `fp16` (CUDA only), or `auto`: bf16 where the processor has it."""
    workers: int = -1
    """Processes that read and augment ahead, in [-1, 256]; -1: none on a CPU, else one per core
    up to 8."""
    memory_mib: int = 4096
    """Memory for decoded images or activations, in MiB, at least 0; larger arrays go to a
    temporary file in cache_dir."""
    mlflow: str = ""
    """Address of an MLflow store that gets the curves too, such as sqlite:///mlflow.db, which needs
    no server, or http://host:5000; empty for none."""

    def __post_init__(self) -> None:
        check_settings(
            "training.",
            self,
            epochs="[1, 10000]",
            batch_size="[1, 65536]",
            trained_share="[0.001, 1]",
            start=("probe", "zero"),
            strength="[1e-6, 100]",
            ema="[0, 1)",
            dropout="[0, 1)",
            norm=("train", "frozen"),
            oversample="[0, 1]",
            precision=("auto", "fp32", "bf16", "fp16"),
            workers="[-1, 256]",
            memory_mib="[0, 1073741824]",
        )
        # checked here because the first curve may be minutes away
        if self.mlflow and find_spec("mlflow") is None:
            raise ConfigError(
                "training.mlflow needs the package MLflow, which is not installed: "
                'pip install "sihwa[mlflow]"'
            )


@dataclass
class StagesConfig(FinetuneConfig):
    """Fine-tuning of the last blocks on activations that are computed once: made for a CPU."""

    views: int = 8
    """Augmented versions of each training image that are computed, in [1, 1000]; each epoch
    takes one of them."""

    def __post_init__(self) -> None:
        FinetuneConfig.__post_init__(self)
        check_settings("training.", self, views="[1, 1000]")
        if self.trained_share >= 1:
            raise ConfigError(
                f"training.trained_share must be below 1 for training=stages, got "
                f"{self.trained_share}; training=finetune trains the whole network"
            )
