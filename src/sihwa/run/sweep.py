"""Sweeps: Optuna looks for the settings whose held-out loss is least.

Its study is a file, so that a sweep that was killed goes on where it was. Why Optuna itself and
not Hydra's plug-in for it: docs/decisions/0021-optuna-itself.md.
"""

import logging
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from optuna.trial import TrialState
from rich.console import Console

from sihwa.dataset import Manifest, read_dataset
from sihwa.errors import ConfigError, StorageError
from sihwa.model import create_network
from sihwa.run.compose import compose_config, config_dir
from sihwa.run.config import TrainConfig
from sihwa.run.processes import choose_device
from sihwa.storage import sha256_of_bytes
from sihwa.storage.lock import hold
from sihwa.terminal.progress import progress_bar
from sihwa.training import TrainContext, train_network

log = logging.getLogger(__name__)

_TRIED = ("augmentation", "model", "training")
"""Groups whose settings a trial may change."""


@dataclass
class Range:
    """The values that one setting may take: an interval, or a list of choices."""

    low: Any = None
    """Lower end of the interval; with both ends whole, whole numbers are tried: 1.0 is not 1."""
    high: Any = None
    """Upper end, above the lower one."""
    log: bool = False
    """Whether a factor matters, not a difference."""
    choices: list[Any] = field(default_factory=list)
    """Values to choose among, instead of an interval."""

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values between which all others lie, or all there are; none: nothing to choose."""
        ends = (self.low, self.high)
        are_numbers = all(type(end) in (int, float) for end in ends)
        has_interval = are_numbers and self.low < self.high
        if has_interval == bool(self.choices) or (not has_interval and ends != (None, None)):
            return ()
        if self.log and not (has_interval and self.low > 0):
            return ()
        return tuple(self.choices) or (self.low, self.high)


@dataclass
class SweepConfig:
    """What a sweep tries."""

    trials: int = 20
    """Trainings in all, those of earlier calls counted, at least 1."""
    settings: list[str] = field(default_factory=list)
    """Settings that all of them share, written as on the command line."""
    space: dict[str, Range] = field(default_factory=dict)
    """The settings that differ, and between what."""

    def __post_init__(self) -> None:
        """Reject a sweep that tries nothing, or a setting that leaves nothing to choose."""
        if self.trials < 1 or not self.space:
            raise ConfigError(
                f"expected trials of at least 1 and a space, got {self.trials} trials over "
                f"{len(self.space)} settings"
            )
        for key, span in self.space.items():
            if key.partition(".")[0] not in _TRIED:
                raise ConfigError(
                    f"{key}: expected a setting of {', '.join(_TRIED)}; the images and what is "
                    "made of them are the same in all trials"
                )
            if not span.ends:
                raise ConfigError(
                    f"{key}: expected either low < high (positive for log) or choices, got low "
                    f"{span.low}, high {span.high}, log {span.log}, choices {span.choices}"
                )


@dataclass(frozen=True)
class Swept:
    """What a sweep found.

    Attributes:
        settings: Those of all trials and the best of the others, as on the command line.
        score: Their held-out log-loss, in nats.
        trials: Trainings that were finished.
        path: The study: Optuna's own tools read it.
    """

    settings: list[str]
    score: float
    trials: int
    path: Path


def read_sweep(name: str) -> SweepConfig:
    """Read configs/sweep/NAME.yaml, or the file of that path.

    Raises:
        ConfigError: There is none, or it is not a sweep.
    """
    own = config_dir() / "sweep"
    path = Path(name) if name.endswith((".yaml", ".yml")) else own / f"{name}.yaml"
    if not path.is_file():
        options = ", ".join(sorted(one.stem for one in own.glob("*.yaml")))
        raise ConfigError(f"sweep must be one of {options} or a .yaml file; got {name!r}")
    try:
        merged = OmegaConf.merge(OmegaConf.structured(SweepConfig), OmegaConf.load(path))
        result = OmegaConf.to_object(merged)
    except (OmegaConfBaseException, ConfigError, yaml.YAMLError, OSError, ValueError) as error:
        cause = error.__cause__ if isinstance(error.__cause__, ConfigError) else error
        said = str(cause) if isinstance(error, yaml.YAMLError) else str(cause).splitlines()[0]
        key = getattr(error, "full_key", None)
        where = f" {key}:" if key and key not in said else ""
        raise ConfigError(f"sweep {path}:{where} {' '.join(said.split())}") from error
    assert isinstance(result, SweepConfig)
    return result


def run_sweep(name: str, overrides: Sequence[str]) -> Swept:
    """Train with settings that Optuna proposes until the sweep's trials are done.

    Every training sees the training images alone and is judged on those it held out.

    Args:
        name: Of the sweep, or its file.
        overrides: Settings of all trainings, as on the command line.

    Raises:
        ConfigError: A setting is wrong, or the training holds nothing out to judge by.
        StorageError: The study's file cannot be used, or another process is at it.
    """
    sweep = read_sweep(name)
    shared = [*sweep.settings, *overrides]
    compose_config(overrides)  # what is misspelt is not the sweep's fault
    _check_space(name, sweep, shared)
    base = compose_config(shared)
    manifest = read_dataset(base.dataset, base.seed)
    # another data set, or another space, is another study
    facts = repr((sorted(shared), sorted(sweep.space.items()), manifest.fingerprint))
    digest = sha256_of_bytes(facts.encode())[:12]
    folder = Path(base.output_dir).expanduser() / "sweeps" / f"{Path(name).stem}-{digest}"
    with hold(folder / ".lock", folder, "Wait for that sweep, or end it"):
        return _run_trials(folder, sweep, shared, base, manifest)


def _run_trials(
    folder: Path,
    sweep: SweepConfig,
    shared: Sequence[str],
    base: TrainConfig,
    manifest: Manifest,
) -> Swept:
    study = _open_study(folder / "study.sqlite", base.seed)

    def objective(trial: optuna.Trial) -> float:
        chosen = [_word(key, _propose(trial, key, span)) for key, span in sweep.space.items()]
        config = compose_config([*shared, *chosen])
        network = create_network(config.model, len(manifest.classes), config.seed)
        work = TrainContext(
            folder / f"trial-{trial.number}",
            Path(config.cache_dir),
            choose_device(config.device),
            config.seed,
            config.augmentation,
        )
        score = train_network(network, manifest, config.training, work).score
        if score is None:
            raise ConfigError(
                "sweep: the training holds no images out to be judged by; add "
                "training.selection.held_out=0.2"
            )
        trial.set_user_attr("settings", chosen)
        log.info("trial %d: held-out log-loss %.4f with %s", trial.number, score, " ".join(chosen))
        return score

    done = len(study.get_trials(states=[TrialState.COMPLETE]))
    with progress_bar("sweep", max(0, sweep.trials - done), "trials") as advance:
        for _ in range(sweep.trials - done):
            study.optimize(objective, n_trials=1)
            advance(1, f"best log-loss {study.best_value:.4f}")
    finished = len(study.get_trials(states=[TrialState.COMPLETE]))
    best = study.best_trial
    settings = [*shared, *best.user_attrs["settings"]]
    return Swept(settings, study.best_value, finished, folder / "study.sqlite")


def _check_space(name: str, sweep: SweepConfig, shared: Sequence[str]) -> None:
    """Try what the sweep sets, and the ends of each range, before any training.

    Raises:
        ConfigError: The training that was chosen has no such setting, or does not take its value.
    """
    ends = [_word(key, value) for key, span in sweep.space.items() for value in span.ends]
    for chosen in (shared, *([*shared, end] for end in ends)):
        try:
            compose_config(chosen)
        except ConfigError as error:
            tried = "" if chosen is shared else f" with {chosen[-1]}"
            raise ConfigError(
                f"sweep={name} does not go with these settings{tried}: {error}. Change its range, "
                "or choose what it is for, such as training=stages or training=finetune"
            ) from error


def _word(key: str, value: object) -> str:
    """Return a setting as on the command line.

    >>> _word("training.layers", None), _word("training.ema", 0.5), _word("model.pool", True)
    ('training.layers=null', 'training.ema=0.5', 'model.pool=true')
    """
    if value is None:
        return f"{key}=null"
    return f"{key}={str(value).lower() if isinstance(value, bool) else value}"


def _propose(trial: optuna.Trial, key: str, span: Range) -> Any:  # noqa: ANN401 -- any setting
    if span.choices:
        return trial.suggest_categorical(key, span.choices)
    assert span.low is not None
    assert span.high is not None
    if isinstance(span.low, int) and isinstance(span.high, int):
        return trial.suggest_int(key, span.low, span.high, log=span.log)
    return trial.suggest_float(key, span.low, span.high, log=span.log)


def _open_study(path: Path, seed: int) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        study = optuna.create_study(
            storage=f"sqlite:///{path.resolve()}",
            study_name="sihwa",
            load_if_exists=True,
        )
    except Exception as error:  # the database's driver raises its own kinds
        raise StorageError(
            f"sweep: {path}: {str(error).splitlines()[0][:200]}. It can be deleted; the sweep then "
            "begins anew"
        ) from error
    for trial in study.get_trials(states=[TrialState.RUNNING]):  # of a process that was killed
        study.tell(trial.number, state=TrialState.FAIL)
    # one seed would make a sweep that goes on propose what it proposed before
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))
    return study


def show_sweep(name: str, overrides: Sequence[str]) -> None:
    """Run a sweep and print the best settings as a command."""
    found = run_sweep(name, overrides)
    console = Console()
    console.print(
        f"best of {found.trials} trials: held-out log-loss {found.score:.4f}; study: {found.path}\n"
        f"python train.py {shlex.join(found.settings)}",
        soft_wrap=True,
        highlight=False,
    )
