"""From the command line to validated settings: `dataset=neu_det seed=3` to a `TrainConfig`.

Hydra composes the options that were chosen (`dataset=neu_det`); the single settings (`seed=3`) are
set afterwards, one by one, so that an error names the setting that caused it. The text of a text
setting is kept as it was typed; OmegaConf converts all others to the type in the schema.
"""

import contextlib
import copy
import csv
import difflib
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass
from functools import lru_cache
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import sihwa
from sihwa.errors import ConfigError, SihwaError
from sihwa.run.config import TrainConfig, register_schemas

_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
_NUMBERS = re.compile(r"\d+|\[[\[\]\d., eE+-]*\]")
_CHOICES = re.compile(r"""(?:\{[^}]*\}|\[[^\]]*\]|"[^"]*"|'[^']*'|[^,])+""")
"""One value of several with commas between: a list or quoted text may hold commas itself."""


def config_dir() -> Path:
    """Return the folder of configs: beside the code in a wheel, at the top of a checkout."""
    packaged = Path(sihwa.__file__).parent / "configs"
    return packaged if packaged.is_dir() else Path(sihwa.__file__).parents[2] / "configs"


def config_groups() -> list[str]:
    """Return the groups that have options: dataset, model, ..."""
    return sorted(path.name for path in config_dir().iterdir() if path.is_dir())


def options_of(group: str) -> list[str]:
    """Return the names of a group's options."""
    return sorted(path.stem for path in (config_dir() / group).glob("*.yaml"))


def compose_config(overrides: Sequence[str]) -> TrainConfig:
    """Compose and validate the settings of a run.

    Args:
        overrides: As on the command line: `dataset=neu_det`, `seed=3`, ...

    Raises:
        ConfigError: An override is misspelt, of the wrong type, out of range or missing.
    """
    config = compose_settings(overrides)
    try:
        if missing := sorted(OmegaConf.missing_keys(config)):
            raise ConfigError(f"{missing[0]} is required: add {missing[0]}=VALUE")
        result = OmegaConf.to_object(config)  # the dataclasses check their ranges
    except OmegaConfBaseException as error:
        if isinstance(error.__cause__, SihwaError):
            raise error.__cause__ from None
        raise ConfigError(f"{error.full_key}: {_first_line(error)}") from error
    assert isinstance(result, TrainConfig)
    return result


def compose_settings(overrides: Sequence[str]) -> DictConfig:
    """Compose settings without asking whether they are enough for a run, as `--help` does.

    Raises:
        ConfigError: An override is misspelt or of the wrong type.
    """
    groups = config_groups()
    options, values = [], []
    for override in overrides:
        key, sign, text = override.lstrip("+").partition("=")
        if key.startswith("'"):
            raise ConfigError(
                f"{override}: the single quotes are taken as part of the setting, as cmd on "
                f'Windows does; use double quotes: "{override.strip(chr(39))}"'
            )
        if not sign and override.endswith("'"):
            raise ConfigError(
                f"{override}: cmd on Windows cuts a text at its spaces within single quotes; put "
                "the whole setting into double quotes"
            )
        if not (key and sign):
            raise ConfigError(f"{override!r} is not of the form setting=value")
        if key not in groups:
            values.append((key, text))
        elif text in options_of(key):
            options.append(f"{key}={text}")
        else:
            raise _unknown_option(key, text)
    config = copy.deepcopy(_compose_options(tuple(options)))
    types = dict(_setting_types(config))
    for key, text in values:
        if key not in types:
            raise _unknown_setting(key, types)
        try:
            value = _read_value(text, types[key])
            OmegaConf.update(config, key, value, merge=False, force_add=isinstance(value, dict))
        except OmegaConfBaseException as error:
            raise _wrong_value(key, text, _kind(types[key])) from error
    return config


def expand_multirun(overrides: Sequence[str]) -> list[list[str]]:
    """Return the overrides of each run of `--multirun`: every combination of the given values.

    >>> expand_multirun(["seed=1,2", "model=resnet18,resnet50"])[:2]
    [['seed=1', 'model=resnet18'], ['seed=1', 'model=resnet50']]
    """
    choices = []
    for override in overrides:
        key, _, text = override.partition("=")
        several = [f"{key}={value.strip()}" for value in _CHOICES.findall(text)]
        choices.append(several or [override])
    return [list(run) for run in itertools.product(*choices)]


@lru_cache
def _compose_options(options: tuple[str, ...]) -> DictConfig:
    """Compose options that exist; the result is cached, so it must not be changed."""
    register_schemas()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        try:
            return compose("train", list(options))
        except HydraException as error:
            found = re.search(r"full_key: (\S+)", str(error))
            key = found[1] if found else ""
            involved = (key.partition(".")[0], "experiment")
            clash = [option for option in options if option.partition("=")[0] in involved]
            raise ConfigError(
                f"{' and '.join(clash or options)} do not go together: "
                + (f"one sets {key}, which the other does not have" if key else _first_line(error))
                + ". Leave one of them out"
            ) from error


def _setting_types(config: DictConfig, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted name and the type of every setting, such as `int | None`."""
    for name, hint in get_type_hints(OmegaConf.get_type(config)).items():
        yield prefix + name, hint
        if is_dataclass(_kind(hint)) and isinstance(config[name], DictConfig):
            yield from _setting_types(config[name], f"{prefix}{name}.")


def _kind(hint: Any) -> Any:  # noqa: ANN401 -- a type
    """Return `int` for `int` and for `int | None`."""
    kinds = [kind for kind in get_args(hint) if kind is not NoneType]
    return kinds[0] if NoneType in get_args(hint) else hint


def _read_value(text: str, hint: Any) -> Any:  # noqa: ANN401 -- a type, and a value of it
    """Return what OmegaConf converts to the type: text without its quotes, a list, or None.

    A setting of any type takes whole numbers and lists of numbers besides text.

    >>> _read_value("2026_01_31", str), _read_value("null", float)
    ('2026_01_31', None)
    >>> _read_value("[1_1, true, 'a, b']", list[str])
    ['1_1', 'true', 'a, b']
    >>> _read_value("{wide: [1, a b], on: [no]}", dict[str, list[str]])
    {'wide': ['1', 'a b'], 'on': ['no']}
    >>> _read_value("[224, 448]", Any), _read_value("a[0].png", Any)
    ([224, 448], 'a[0].png')
    """
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    if is_quoted and get_origin(hint) in (list, dict):  # as by cmd, which keeps single quotes
        text = text[1:-1]
    if hint is Any and _NUMBERS.fullmatch(text):
        with contextlib.suppress(yaml.YAMLError):  # its dataclass names what it expected
            return yaml.safe_load(text)
    if get_origin(hint) is dict and text.startswith("{"):
        with contextlib.suppress(yaml.YAMLError):
            # this loader makes nothing but texts, lists and dicts of texts
            content = yaml.load(text, Loader=yaml.BaseLoader)
            return content if isinstance(content, dict) else text
    if get_origin(hint) is list and text.startswith("[") and text.endswith("]"):
        quotechar = "'" if "'" in text and '"' not in text else '"'
        reader = csv.reader([text[1:-1]], quotechar=quotechar, skipinitialspace=True)
        return [item.strip() for item in next(reader, [])]
    if text == "null" and hint is not str:
        return None
    return text[1:-1] if is_quoted else text


def _wrong_value(key: str, text: str, kind: Any) -> ConfigError:  # noqa: ANN401 -- a type
    if "," in text and kind in (int, float, bool):
        return ConfigError(f"{key}: several values ({text}) need --multirun")
    expected = _KINDS.get(kind, f"one of its settings by name, {key}.NAME=VALUE")
    if get_origin(kind) is dict:
        expected = f'lists by name, such as "{key}={{NAME: [ONE, OTHER]}}"'
    if get_origin(kind) is list:
        expected = f'a list, such as "[{text}]"'
        if text.startswith("["):
            expected = f"a list with {_KINDS[get_args(kind)[0]]} in each place"
    return ConfigError(f"{key}: expected {expected}, got {text!r}")


def _unknown_setting(key: str, settings: dict[str, Any]) -> ConfigError:
    known = [*settings, *config_groups()]
    near = difflib.get_close_matches(key, known, n=3) or known[:3]
    return ConfigError(f"unknown setting {key!r}; nearest: {', '.join(dict.fromkeys(near))}")


def _unknown_option(group: str, option: str) -> ConfigError:
    options = options_of(group)
    if "," in option:
        return ConfigError(f"{group}: several options ({option}) need --multirun")
    near = difflib.get_close_matches(option, options, n=1)
    hint = f"; nearest: {near[0]}" if near else ""
    return ConfigError(f"{group} must be one of {', '.join(options)}; got {option!r}{hint}")


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
