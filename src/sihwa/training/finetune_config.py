"""What a user may say about fine-tuning."""

from dataclasses import dataclass, field
from importlib.util import find_spec

from sihwa.errors import ConfigError
from sihwa.training.config import TrainingConfig

_OPTIMIZERS = ("adamw", "sgd")
_PRECISIONS = ("auto", "fp32", "bf16", "fp16")
_METRICS = ("log_loss", "accuracy", "balanced_accuracy", "macro_f1")


def _require(name: str, value: float, low: float, high: float, *, open_high: bool = False) -> None:
    inside = low <= value < high if open_high else low <= value <= high
    if not inside:
        end = ")" if open_high else "]"
        raise ConfigError(f"training.{name} must be in [{low:g}, {high:g}{end}, got {value}")


def _require_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"training.{name} must be one of {', '.join(choices)}; got {value!r}")


@dataclass
class OptimizerConfig:
    """How weights are moved."""

    name: str = "adamw"
    """`adamw`, or `sgd` with Nesterov momentum 0.9."""
    learning_rate: float = 1e-3
    """Of the last block, at its highest, in [1e-7, 10]."""
    head_rate: float = 10.0
    """How many times faster the classifier learns than the last block, in [0, 1000]."""
    layer_decay: float = 0.9
    """Each block learns this much slower than the next, in (0, 1]; 1 is the same for all."""
    weight_decay: float = 0.02
    """Pull of the weights (biases and norms apart) to zero, in [0, 1]."""
    warmup: float = 0.1
    """Share of all steps in which the rate rises, in [0, 1); then it falls as a cosine to zero."""
    clip: float = 1.0
    """Longest gradient, others are shortened to it, in [0, 1000]; 0 never shortens."""
    accumulate: int = 1
    """Batches whose gradients are added up before each step, in [1, 1024]."""

    def __post_init__(self) -> None:
        """Reject what cannot converge."""
        _require_choice("optimizer.name", self.name, _OPTIMIZERS)
        _require("optimizer.learning_rate", self.learning_rate, 1e-7, 10)
        _require("optimizer.head_rate", self.head_rate, 0, 1000)
        _require("optimizer.layer_decay", self.layer_decay, 0.01, 1)
        _require("optimizer.weight_decay", self.weight_decay, 0, 1)
        _require("optimizer.warmup", self.warmup, 0, 1, open_high=True)
        _require("optimizer.clip", self.clip, 0, 1000)
        _require("optimizer.accumulate", self.accumulate, 1, 1024)


@dataclass
class LossConfig:
    """What is minimised: cross-entropy, with what is not 0 added to it."""

    label_smoothing: float = 0.0
    """Share of each label that is spread over all classes, in [0, 0.5]."""
    focal: float = 0.0
    """Focusing exponent γ, which makes easy images count less, in [0, 10] (Lin et al. 2017,
    arXiv 1708.02002)."""
    class_balance: float = 0.0
    """β of class-balanced weights, in [0, 1); near 1 weighs by inverse frequency (Cui et al. 2019,
    arXiv 1901.05555)."""
    logit_adjustment: float = 0.0
    """τ of logit adjustment: asks more margin of rare classes, in [0, 5]; 1 aims at balanced
    error (Menon et al. 2020, arXiv 2007.07314)."""

    def __post_init__(self) -> None:
        """Reject what is no loss."""
        _require("loss.label_smoothing", self.label_smoothing, 0, 0.5)
        _require("loss.focal", self.focal, 0, 10)
        _require("loss.class_balance", self.class_balance, 0, 1, open_high=True)
        _require("loss.logit_adjustment", self.logit_adjustment, 0, 5)


@dataclass
class MixConfig:
    """Pairs of training images laid over each other, their labels in the same proportion."""

    mixup: float = 0.0
    """Parameter α of the Beta distribution of the blend, 0 or in [0.001, 10]; 0 never blends (Zhang
    et al. 2017, arXiv 1710.09412)."""
    cutmix: float = 0.0
    """The same for pasting a rectangle of one into the other (Yun et al. 2019, arXiv
    1905.04899)."""

    def __post_init__(self) -> None:
        """Reject what is no Beta distribution."""
        for name, alpha in (("mix.mixup", self.mixup), ("mix.cutmix", self.cutmix)):
            # nearer to 0 the distribution is beyond single precision
            if alpha and not 0.001 <= alpha <= 10:
                raise ConfigError(f"training.{name} must be 0 or in [0.001, 10], got {alpha}")


@dataclass
class SelectionConfig:
    """Which epoch's weights are kept: the last, or the best on images held out of training."""

    held_out: float = 0.0
    """Share of the training images held out to choose by, in [0, 0.5]; 0 keeps the last epoch.
    Calibration and test images are never used for it."""
    metric: str = "log_loss"
    """What is best: the least log_loss, or the most accuracy, balanced_accuracy or macro_f1."""
    patience: int = 0
    """Epochs without improvement after which training ends, in [0, 1000]; 0 never ends early."""

    def __post_init__(self) -> None:
        """Reject a choice without anything to choose by."""
        _require("selection.held_out", self.held_out, 0, 0.5)
        _require_choice("selection.metric", self.metric, _METRICS)
        _require("selection.patience", self.patience, 0, 1000)
        if self.patience and not self.held_out:
            raise ConfigError(
                "training.selection.patience: early stopping needs images to judge by; set "
                "training.selection.held_out, for example to 0.1"
            )


@dataclass
class FinetuneConfig(TrainingConfig):
    """Gradient descent on the network, or on its last blocks, from the probe's classifier on."""

    epochs: int = 20
    """Passes over the training images, in [1, 10000]."""
    batch_size: int = 32
    """Images per step, over all processes, in [1, 65536]."""
    trained_share: float = 1.0
    """Share of the network's arithmetic, from its end, that is trained, in (0, 1]."""
    start: str = "probe"
    """Where the classifier starts: `probe` (fitted to the untrained network), or `zero`."""
    strength: float = 0.003
    """Inverse penalty C of that probe on standardised embeddings, in [1e-6, 100]."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """How weights are moved."""
    loss: LossConfig = field(default_factory=LossConfig)
    """What is minimised."""
    mix: MixConfig = field(default_factory=MixConfig)
    """Mixup and cutmix."""
    selection: SelectionConfig = field(default_factory=SelectionConfig)
    """Which epoch is kept, and early stopping."""
    ema: float = 0.98
    """Decay per step of the running average of the weights, which is what is kept, in [0, 1);
    0 keeps the weights themselves."""
    dropout: float = 0.0
    """Share of the embedding that is dropped at random while training, in [0, 1)."""
    norm: str = "train"
    """Batch norms: `train` follows each batch, `frozen` keeps the pretrained statistics."""
    oversample: float = 0.0
    """How far rare classes are drawn more often, in [0, 1]: 0 every image once an epoch, 1 every
    class equally often."""
    precision: str = "auto"
    """`fp32`, `bf16`, `fp16` (CUDA only), or `auto`: bf16 where the processor has it."""
    workers: int = -1
    """Processes that read and augment ahead, in [-1, 256]; -1: none on a CPU, else one per core
    up to 8."""
    memory_mib: int = 4096
    """Memory for decoded images or activations, in MiB, at least 0; what is beyond lies in a
    file of cache_dir that is gone when the run ends."""
    mlflow: str = ""
    """Address of an MLflow store that gets the curves too, such as sqlite:///mlflow.db, which needs
    no server, or http://host:5000; empty for none."""

    def __post_init__(self) -> None:
        """Reject what cannot be trained."""
        _require("epochs", self.epochs, 1, 10_000)
        _require("batch_size", self.batch_size, 1, 65_536)
        _require("trained_share", self.trained_share, 0.001, 1)
        _require("strength", self.strength, 1e-6, 100)
        _require("ema", self.ema, 0, 1, open_high=True)
        _require("dropout", self.dropout, 0, 1, open_high=True)
        _require("oversample", self.oversample, 0, 1)
        _require("workers", self.workers, -1, 256)
        _require("memory_mib", self.memory_mib, 0, 2**30)
        _require_choice("start", self.start, ("probe", "zero"))
        _require_choice("norm", self.norm, ("train", "frozen"))
        _require_choice("precision", self.precision, _PRECISIONS)
        # here, because the first curve may be minutes away
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
        """Reject a whole network: its first activations are the images."""
        FinetuneConfig.__post_init__(self)
        _require("views", self.views, 1, 1000)
        if self.trained_share >= 1:
            raise ConfigError(
                f"training.trained_share must be below 1 for training=stages, got "
                f"{self.trained_share}; training=finetune trains all of it"
            )
