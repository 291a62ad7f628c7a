"""The training command: compose → validate → train → print where the results lie."""

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf

import sihwa
from sihwa.commands.settings_help import describe_settings
from sihwa.errors import ConfigError
from sihwa.model import require_known
from sihwa.run.compose import (
    check_overrides,
    compose_config,
    config_dir,
    config_groups,
    each_value,
    options_of,
    quote_override,
    to_config,
)
from sihwa.run.config import register_schemas
from sihwa.terminal.console import errors_as_lines, loading, say

_MULTIRUN = {"-m", "--multirun"}
_HELP = {"-h", "--help"}
_OTHER_CONFIGS = {"-cd", "--config-dir"}
_TAKE_A_WORD = {"-c", "--cfg", "-i", "--info", "-p", "--package", *_OTHER_CONFIGS}
_FLAGS = {*_HELP, *_MULTIRUN, *_TAKE_A_WORD, "--resolve", "--version"}
"""Those of Hydra that make sense here."""


def launch(arguments: Sequence[str]) -> None:
    """Run the training command.

    Args:
        arguments: Overrides (`dataset=neu_det`) and Hydra's flags (`--help`, `--multirun`).
    """
    flags, overrides = _divide(arguments)
    with errors_as_lines():
        _check_flags(flags)
    if "--version" in flags:
        say(f"sihwa {sihwa.__version__}")
        return
    if _HELP & {*flags}:
        overrides = [word for word in overrides if not word.startswith(("resume=", "sweep="))]
    elif any(word.startswith("resume=") for word in arguments):
        with errors_as_lines():
            _resume(arguments)
        return
    elif any(word.startswith("sweep=") for word in arguments):
        with errors_as_lines():
            _sweep(arguments)
        return
    with errors_as_lines(), loading():
        _check_settings(flags, overrides)
    _run_hydra(flags, overrides)


def _check_settings(flags: Sequence[str], overrides: Sequence[str]) -> None:
    """Say in one line, and of each run of a multirun, what Hydra would report in a page."""
    if _OTHER_CONFIGS & {*flags}:
        return
    if _MULTIRUN & {*flags}:
        for chosen in each_value(overrides):
            require_known(compose_config(chosen).model.architecture)
    elif flags:
        check_overrides(overrides)
    else:
        compose_config(overrides)


def _run_hydra(flags: Sequence[str], overrides: Sequence[str]) -> None:
    register_schemas()
    OmegaConf.register_new_resolver("options", _options_text, replace=True)
    OmegaConf.register_new_resolver(
        "settings", lambda _root_: describe_settings(_root_), replace=True
    )
    sys.argv = [sys.argv[0], *flags, *map(quote_override, overrides)]
    main = hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="train")
    with errors_as_lines(), contextlib.ExitStack() as composing:
        composing.enter_context(loading())

        def run(config: DictConfig) -> None:
            composing.close()
            _run(config)

        main(run)()


def _divide(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return Hydra's flags with their words, and the settings: Hydra takes only either first.

    >>> _divide(["seed=1,2", "--multirun", "dataset=elpv", "--cfg", "job"])
    (['--multirun', '--cfg', 'job'], ['seed=1,2', 'dataset=elpv'])
    """
    flags: list[str] = []
    overrides: list[str] = []
    for word in arguments:
        follows = bool(flags) and flags[-1] in _TAKE_A_WORD and "=" not in word
        (flags if word.startswith("-") or follows else overrides).append(word)
    return flags, overrides


def _check_flags(flags: Sequence[str]) -> None:
    words = {place + 1 for place, flag in enumerate(flags) if flag in _TAKE_A_WORD}
    for place, flag in enumerate(flags):
        if flag.partition("=")[0] not in _FLAGS and place not in words:
            raise ConfigError(
                f"unknown flag {flag!r}; known: --help, --multirun, --cfg job, --resolve, --info, "
                "--package NAME, --config-dir FOLDER, --version. A setting has none: setting=value"
            )
    if "--resolve" in flags and not {"-c", "--cfg"} & {*flags}:
        raise ConfigError("--resolve goes with --cfg job, whose references it replaces")


def _options_text() -> str:
    """Return a line per group for `--help`; Hydra's own list names the schemas too."""
    return "\n".join(f"{group}: {', '.join(options_of(group))}" for group in config_groups())


def _run(config: DictConfig) -> None:
    with errors_as_lines():
        with loading():
            from sihwa.commands.train_output import train_and_show

            settings = to_config(config)
        train_and_show(settings)


def _resume(arguments: Sequence[str]) -> None:
    others = [word for word in arguments if not word.startswith("resume=")]
    if others or len(arguments) > 1:
        raise ConfigError(
            "resume takes every setting from the run's own config.yaml; remove "
            f"{', '.join(others) or 'the second resume='}"
        )
    with loading():
        from sihwa.commands.train_output import resume_and_show

    resume_and_show(Path(arguments[0].removeprefix("resume=")))


def _sweep(arguments: Sequence[str]) -> None:
    names = [word.removeprefix("sweep=") for word in arguments if word.startswith("sweep=")]
    if len(names) > 1:
        raise ConfigError(f"expected one sweep, got {', '.join(names)}")
    flags, _ = _divide(arguments)
    if flags:
        raise ConfigError(f"sweep={names[0]} takes settings alone; remove {' '.join(flags)}")
    with loading():
        from sihwa.run.sweep import show_sweep

    show_sweep(names[-1], [word for word in arguments if not word.startswith("sweep=")])
