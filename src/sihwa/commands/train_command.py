"""The training command: read the flags, compose the settings, train, show the figures."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from omegaconf import OmegaConf

import sihwa
from sihwa.commands.settings_help import help_text
from sihwa.errors import ConfigError
from sihwa.model import require_known
from sihwa.run.compose import compose_config, compose_settings, expand_multirun
from sihwa.terminal.console import note, say
from sihwa.terminal.guard import begin_work


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(
            f"{message}. Flags are --help, --version, --multirun, --cfg job and --resolve; "
            "settings take no dashes: setting=value"
        )


def launch(arguments: Sequence[str]) -> None:
    """Run the training command.

    Args:
        arguments: Settings (`dataset=neu_det`) and flags (`--multirun`), in any order.

    Raises:
        ConfigError: A setting or flag is wrong.
    """
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
        config = compose_settings(settings)
        print(OmegaConf.to_yaml(config, resolve=flags.resolve), end="")  # noqa: T201
    elif flags.multirun:
        _run_all(expand_multirun(settings))
    else:
        _run_all([settings])


def _parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Divide the command line into flags and settings.

    >>> flags, settings = _parse(["seed=1,2", "--multirun", "dataset=elpv"])
    >>> flags.multirun, settings
    (True, ['seed=1,2', 'dataset=elpv'])
    """
    parser = _Parser(add_help=False, allow_abbrev=False)
    for names in (("-h", "--help"), ("-m", "--multirun"), ("--version",), ("--resolve",)):
        parser.add_argument(*names, action="store_true")
    parser.add_argument("-c", "--cfg", choices=["job"])
    parser.add_argument("settings", nargs="*")
    flags = parser.parse_intermixed_args(arguments)
    if flags.resolve and not flags.cfg:
        raise ConfigError("--resolve goes with --cfg job, whose references it resolves")
    return flags, flags.settings


def _run_all(runs: Sequence[Sequence[str]]) -> None:
    """Train with each list of settings in turn; all are checked before the first starts."""
    configs = [compose_config(settings) for settings in runs]
    for config in configs if len(runs) > 1 else ():
        require_known(config.model.architecture)
    from sihwa.commands.train_output import train_and_show

    begin_work()
    for place, config in enumerate(configs):
        if len(runs) > 1:
            note(f"run {place + 1} of {len(runs)}: {' '.join(runs[place])}")
        train_and_show(config)


def _run_named(named: Sequence[str], others: Sequence[str], arguments: Sequence[str]) -> None:
    """Resume a run, or sweep over settings."""
    kind, _, name = named[0].partition("=")
    if len(named) > 1:
        raise ConfigError(f"expected one {kind}, got {', '.join(named)}")
    flags = [word for word in arguments if word not in (*named, *others)]
    if flags:
        raise ConfigError(f"{named[0]} takes no flags; remove {' '.join(flags)}")
    if kind == "sweep":
        from sihwa.run.sweep import show_sweep

        begin_work()
        show_sweep(name, others)
        return
    if others:
        raise ConfigError(
            f"resume takes every setting from the run's own config.yaml; remove {', '.join(others)}"
        )
    from sihwa.commands.train_output import resume_and_show

    begin_work()
    resume_and_show(Path(name))
