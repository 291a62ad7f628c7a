"""Sweeps: Optuna searches for the settings with the lowest held-out loss.

Its study is a file, so that a killed sweep resumes where it was. Why Optuna itself and not Hydra's
plug-in for it: docs/decisions/0015-optuna-itself.md.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import optuna
import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from optuna.trial import TrialState

from sihwa.dataset import Manifest, read_dataset
from sihwa.errors import ConfigError, StorageError
from sihwa.run.build_network import build_network
from sihwa.run.compose import compose_config, config_dir
from sihwa.run.processes import choose_device
from sihwa.storage import hold, sha256_of_bytes
from sihwa.terminal.progress import progress_bar
from sihwa.training import TrainContext, train_network

log = logging.getLogger(__name__)

_SWEPT_GROUPS = ("augmentation", "model", "training")
"""Groups whose settings a trial may change."""


class Range(msgspec.Struct, forbid_unknown_fields=True):
    """The values that one setting may take: an interval or a list of choices."""

    low: Any = None
    """Lower end of the interval; if both ends are ints, only whole numbers are tried."""
    high: Any = None
    """Upper end, greater than `low`."""
    log: bool = False
    """Whether to sample on a logarithmic scale."""
    choices: list[Any] = []
    """Values to choose from, instead of an interval."""

    def is_valid(self) -> bool:
        """Return whether there is either a list of choices or an interval to sample from."""
        if self.choices:
            return (self.low, self.high, self.log) == (None, None, False)
        are_numbers = all(type(end) in (int, float) for end in (self.low, self.high))
        return are_numbers and self.low < self.high and (self.low > 0 or not self.log)


class SweepConfig(msgspec.Struct, forbid_unknown_fields=True):
    """What a sweep tries."""

    trials: int = 20
    """Total number of trials, including those of earlier calls; at least 1."""
    settings: list[str] = []
    """Settings of all trials, written as on the command line."""
    space: dict[str, Range] = {}
    """The settings that vary, each with its range."""

    def __post_init__(self) -> None:
        if self.trials < 1 or not self.space:
            raise ConfigError(
                f"expected trials of at least 1 and a space, got {self.trials} trials over "
                f"{len(self.space)} settings"
            )
        for key, span in self.space.items():
            if key.partition(".")[0] not in _SWEPT_GROUPS:
                raise ConfigError(
                    f"{key}: expected a setting of {', '.join(_SWEPT_GROUPS)}; the images, the "
                    "splits and the evaluation are the same in all trials"
                )
            if not span.is_valid():
                raise ConfigError(
                    f"{key}: expected either low < high (positive for log) or choices, got low "
                    f"{span.low}, high {span.high}, log {span.log}, choices {span.choices}"
                )


@dataclass(frozen=True)
class SweepResult:
    """The outcome of a sweep."""

    settings: list[str]
    """Those of all trials and the best values found, as on the command line."""
    score: float
    """Held-out log-loss with them, in nats."""
    trials: int
    """Finished trials."""
    path: Path
    """The study, which Optuna's own tools can read."""


def read_sweep(name: str) -> SweepConfig:
    """Read configs/sweep/NAME.yaml, or a .yaml file by its path.

    Raises:
        ConfigError: The file does not exist or is not a valid sweep.
    """
    own = config_dir() / "sweep"
    path = Path(name) if name.endswith((".yaml", ".yml")) else own / f"{name}.yaml"
    if not path.is_file():
        options = ", ".join(sorted(one.stem for one in own.glob("*.yaml")))
        raise ConfigError(f"sweep must be one of {options} or a .yaml file; got {name!r}")
    try:
        return msgspec.convert(OmegaConf.to_container(OmegaConf.load(path)), SweepConfig)
    except (OmegaConfBaseException, ConfigError, yaml.YAMLError, OSError, ValueError) as error:
        raise ConfigError(f"sweep {path}: {' '.join(str(error).split())}") from error


def run_sweep(name: str, overrides: Sequence[str]) -> SweepResult:
    """Train with the settings that Optuna proposes until all trials are done.

    Each trial trains on the training images and is scored on those it holds out.

    Raises:
        ConfigError: A setting is wrong, or the training holds no images out.
        StorageError: The study cannot be read or written, or another process uses it.
    """
    sweep = read_sweep(name)
    compose_config(overrides)  # so that a misspelt setting is not blamed on the sweep
    sweep.settings = [*sweep.settings, *overrides]
    _check_space(name, sweep)
    base = compose_config(sweep.settings)
    manifest = read_dataset(base.dataset, base.seed)
    # another data set, or another space, is another study
    facts = repr((sorted(sweep.settings), sorted(sweep.space.items()), manifest.fingerprint))
    digest = sha256_of_bytes(facts.encode())[:12]
    folder = Path(base.output_dir).expanduser() / "sweeps" / f"{Path(name).stem}-{digest}"
    with hold(folder / ".lock", folder, "Wait for that sweep to end, or stop it"):
        study = _open_study(folder / "study.sqlite", base.seed)
        done = len(study.get_trials(states=[TrialState.COMPLETE]))
        with progress_bar("sweep", max(0, sweep.trials - done), "trials") as advance:
            for _ in range(sweep.trials - done):
                study.optimize(lambda trial: _score(trial, sweep, manifest, folder), n_trials=1)
                advance(1, f"best log-loss {study.best_value:.4f}")
        finished = len(study.get_trials(states=[TrialState.COMPLETE]))
        settings = [*sweep.settings, *study.best_trial.user_attrs["settings"]]
        return SweepResult(settings, study.best_value, finished, folder / "study.sqlite")


def _score(trial: optuna.Trial, sweep: SweepConfig, manifest: Manifest, folder: Path) -> float:
    """Train with proposed settings; return the log-loss of the held-out images."""
    chosen = [_override(key, _propose(trial, key, span)) for key, span in sweep.space.items()]
    config = compose_config([*sweep.settings, *chosen])
    network = build_network(config, manifest)
    context = TrainContext(
        folder / f"trial-{trial.number}",
        Path(config.cache_dir),
        choose_device(config.device),
        config.seed,
        config.augmentation,
    )
    score = train_network(network, manifest, config.training, context).score
    if score is None:
        raise ConfigError(
            "sweep: the training holds out no images to score a trial on; add "
            "training.selection.held_out=0.2"
        )
    trial.set_user_attr("settings", chosen)
    log.info("trial %d: held-out log-loss %.4f with %s", trial.number, score, " ".join(chosen))
    return score


def _check_space(name: str, sweep: SweepConfig) -> None:
    """Compose the settings with both ends of each range before any training."""
    ends = [
        [_override(key, value)]
        for key, span in sweep.space.items()
        for value in span.choices or (span.low, span.high)
    ]
    for chosen in ([], *ends):
        try:
            compose_config([*sweep.settings, *chosen])
        except ConfigError as error:
            tried = f" with {chosen[0]}" if chosen else ""
            raise ConfigError(
                f"sweep={name} does not fit these settings{tried}: {error}. Change its range, "
                "or choose training=stages or training=finetune"
            ) from error


def _override(key: str, value: object) -> str:
    """Return a setting as on the command line.

    >>> _override("training.layers", None), _override("model.pool", True)
    ('training.layers=null', 'model.pool=true')
    """
    if value is None:
        return f"{key}=null"
    return f"{key}={str(value).lower() if isinstance(value, bool) else value}"


def _propose(trial: optuna.Trial, key: str, span: Range) -> Any:  # noqa: ANN401 -- any setting
    if span.choices:
        return trial.suggest_categorical(key, span.choices)
    if isinstance(span.low, int) and isinstance(span.high, int):
        return trial.suggest_int(key, span.low, span.high, log=span.log)
    return trial.suggest_float(key, span.low, span.high, log=span.log)


def _open_study(path: Path, seed: int) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        study = optuna.create_study(
            storage=f"sqlite:///{path.resolve()}", study_name="sihwa", load_if_exists=True
        )
    except Exception as error:  # the database driver raises its own types
        raise StorageError(
            f"sweep: {path}: {str(error).splitlines()[0][:200]}. Delete it to start the sweep again"
        ) from error
    for trial in study.get_trials(states=[TrialState.RUNNING]):  # left by a killed process
        study.tell(trial.number, state=TrialState.FAIL)
    # with the same seed, a resumed sweep would propose the same values again
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))
    return study
