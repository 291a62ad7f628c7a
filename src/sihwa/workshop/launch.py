"""The training command: compose → validate → train → print where the results lie."""

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf

from sihwa.console import errors_as_lines, loading
from sihwa.errors import ConfigError
from sihwa.workshop.compose import (
    check_overrides,
    compose_config,
    config_dir,
    config_groups,
    each_value,
    options_of,
    quote_override,
    to_config,
)
from sihwa.workshop.config import register_schemas
from sihwa.workshop.settings_help import describe_settings

__all__ = ["launch"]

_MULTIRUN = {"-m", "--multirun"}
_OTHER_CONFIGS = ("-cd", "-cn", "-cp", "--config-")
_TAKE_A_WORD = {
    "-c", "--cfg", "-cd", "--config-dir", "-cn", "--config-name", "-cp", "--config-path", "-i",
    "--info", "-p", "--package",
}  # fmt: skip
"""Flags of Hydra with a word behind them."""


def launch(arguments: Sequence[str]) -> None:
    """Run the training command.

    Args:
        arguments: Overrides (`dataset=neu_det`) and Hydra's flags (`--help`, `--multirun`).
    """
    if any(word.startswith("resume=") for word in arguments):
        with errors_as_lines():
            _resume(arguments)
        return
    if any(word.startswith("sweep=") for word in arguments):
        with errors_as_lines():
            _sweep(arguments)
        return
    flags, overrides = _divide(arguments)
    with errors_as_lines(), loading():
        # Hydra reports a misspelt setting in a page of its own; say it in one line before
        if _MULTIRUN & {*flags}:
            for chosen in each_value(overrides):
                compose_config(chosen)
        elif not flags:
            compose_config(overrides)
        elif not any(flag.startswith(_OTHER_CONFIGS) for flag in flags):
            check_overrides(overrides)
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


def _options_text() -> str:
    """Return a line per group for `--help`; Hydra's own list names the schemas too."""
    return "\n".join(f"{group}: {', '.join(options_of(group))}" for group in config_groups())


def _run(config: DictConfig) -> None:
    with errors_as_lines():
        with loading():
            from sihwa.workshop.show import train_and_show

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
        from sihwa.workshop.show import resume_and_show

    resume_and_show(Path(arguments[0].removeprefix("resume=")))


def _sweep(arguments: Sequence[str]) -> None:
    names = [word.removeprefix("sweep=") for word in arguments if word.startswith("sweep=")]
    with loading():
        from sihwa.workshop.sweep import show_sweep

    show_sweep(names[-1], [word for word in arguments if not word.startswith("sweep=")])
