"""The training command: read the flags, compose the settings, train, show the figures."""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from omegaconf import OmegaConf
from rich.console import Console

import sihwa
from sihwa.commands.compare_command import show_runs
from sihwa.commands.settings_help import help_text
from sihwa.errors import ConfigError
from sihwa.model import require_known
from sihwa.reporting import metrics_table, proposed_setting, similarity_sentences
from sihwa.run import Run, RunResult, TrainConfig
from sihwa.run.compose import compose_config, compose_settings, expand_multirun
from sihwa.run.folds import cross_validate, resume_folds
from sihwa.run.processes import choose_device, process_group
from sihwa.run.run import assist_training
from sihwa.run.run_files import read_config
from sihwa.terminal.console import note, pasteable, say
from sihwa.terminal.guard import begin_work
from sihwa.training import world

_MOVED = "dataset.root="
"""The setting that says where the images of a run are now."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(
            f"{message}. Flags are --help, --version, --multirun and --cfg job; "
            "settings take no dashes: setting=value"
        )


def launch(arguments: Sequence[str]) -> None:
    """Run the training command on settings (`dataset=neu_det`) and flags (`--multirun`)."""
    flags, settings = _parse(arguments)
    named = [word for word in settings if word.startswith(("resume=", "sweep="))]
    others = [word for word in settings if word not in named]
    if flags.version:
        say(f"sihwa {sihwa.__version__}")
    elif flags.help:
        print(help_text(compose_settings(others)))  # noqa: T201
    elif named:
        _run_named(named, others, arguments)
    elif flags.cfg:
        print(OmegaConf.to_yaml(compose_settings(settings)), end="")  # noqa: T201
    else:
        _run_all(expand_multirun(settings) if flags.multirun else [settings])


def _parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Divide the command line into flags and settings.

    >>> flags, settings = _parse(["seed=1,2", "--multirun", "dataset=elpv"])
    >>> flags.multirun, settings
    (True, ['seed=1,2', 'dataset=elpv'])
    """
    parser = _Parser(add_help=False, allow_abbrev=False)
    for names in (("-h", "--help"), ("-m", "--multirun"), ("--version",)):
        parser.add_argument(*names, action="store_true")
    parser.add_argument("-c", "--cfg", choices=["job"])
    parser.add_argument("settings", nargs="*")
    flags = parser.parse_intermixed_args(arguments)
    return flags, flags.settings


def _run_all(runs: Sequence[Sequence[str]]) -> None:
    """Train with each list of settings in turn; all are checked before the first starts."""
    configs = [compose_config(settings) for settings in runs]
    for config in configs if len(runs) > 1 else ():
        require_known(config.model.architecture)
    begin_work()
    folders = []
    for place, config in enumerate(configs):
        if len(runs) > 1:
            note(f"run {place + 1} of {len(runs)}: {' '.join(runs[place])}")
        folders += [folder] if (folder := _train_and_show(config)) else []
    if len(folders) > 1:
        show_runs(folders)


def _run_named(named: Sequence[str], others: Sequence[str], arguments: Sequence[str]) -> None:
    """Resume a run, or sweep over settings."""
    kind, _, name = named[0].partition("=")
    if len(named) > 1:
        raise ConfigError(f"expected one {kind}, got {', '.join(named)}")
    flags = [word for word in arguments if word not in (*named, *others)]
    if flags:
        raise ConfigError(f"{named[0]} takes no flags; remove {' '.join(flags)}")
    if kind == "sweep":
        begin_work()
        _sweep_and_show(name, others)
        return
    moved = [word for word in others if word.startswith(_MOVED)]
    if len(moved) < len(others) or len(moved) > 1:
        refused = ", ".join(word for word in others if word not in moved[:1])
        raise ConfigError(
            f"resume takes every setting from the run's own config.yaml; remove {refused}. Only "
            "dataset.root=FOLDER may be given, if the images moved there"
        )
    begin_work()
    folder = Path(name).expanduser().resolve()
    root = moved[0].removeprefix(_MOVED) if moved else None
    _train_and_show(read_config(folder), folder, root)


def _sweep_and_show(name: str, overrides: Sequence[str]) -> None:
    from sihwa.run.sweep import run_sweep  # Optuna takes long to import

    found = run_sweep(name, overrides)
    text = (
        f"best of {found.trials} trials: held-out log-loss {found.score:.4f}; study: {found.path}\n"
        f"{pasteable(['python', 'train.py', *found.settings])}"
    )
    Console().print(text, soft_wrap=True, highlight=False)


def _train_and_show(
    config: TrainConfig, resumed: Path | None = None, root: str | None = None
) -> Path | None:
    """Start or resume a run or a cross-validation, and print its figures.

    Returns:
        Its folder; None in a process that only assists.
    """
    begin = time.perf_counter()
    if config.evaluation.folds > 1:
        folds = resume_folds(resumed, root) if resumed else cross_validate(config)
        show_runs([folds.folder])
        Console().print(folds.as_table())
        Console().print(f"folds: {folds.folder}", soft_wrap=True, highlight=False)
        return folds.folder
    with process_group(choose_device(config.device)):
        if world()[0] > 0:
            assist_training(config)
            return None
        result = (Run.resume(resumed, root) if resumed else Run.start(config)).finish()
    show_run(result)
    seconds = time.perf_counter() - begin
    Console().print(f"{seconds:.1f} s from settings to report", highlight=False)
    return result.folder


def show_run(result: RunResult) -> None:
    """Print the figures of a run, the verdict on each runtime, and the paths of its files."""
    lines = ["no inspector was made: export.enabled=false"]
    if result.card:
        lines = [f"inspector {result.card.id}: {result.inspector}"]
        lines += [proof.verdict() for proof in result.proofs]
    lines.append(f"report: {result.report}")
    console = Console()
    console.print(metrics_table(result.evaluation))
    style = "yellow" if result.similarity.warns else None
    for sentence in similarity_sentences(result.similarity):
        console.print(sentence, style=style, markup=False, highlight=False)
    if setting := proposed_setting(result.similarity):
        console.print(setting, style=style, markup=False, highlight=False, soft_wrap=True)
    console.print("\n".join(lines), soft_wrap=True, highlight=False)
