"""From the command line to validated settings: `dataset=neu_det seed=3` to a `TrainConfig`.

Hydra composes the options that were chosen (`dataset=neu_det`); the single settings (`seed=3`) are
set afterwards, one by one, so that an error names the setting that caused it. The schema decides
how a value is read: the text of a text setting is kept as it was typed, all others go through
Hydra's grammar.
"""

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

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import sihwa
from sihwa.errors import ConfigError, SihwaError
from sihwa.run.config import TrainConfig, register_schemas

_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
_CHOICES = re.compile(r"""(?:\[[^\]]*\]|"[^"]*"|'[^']*'|[^,])+""")
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
    return to_config(compose_settings(overrides))


def compose_settings(overrides: Sequence[str]) -> DictConfig:
    """Compose settings without asking whether they are enough for a run, as `--help` does.

    Raises:
        ConfigError: An override is misspelt or of the wrong type.
    """
    options, values = _sort_overrides(overrides)
    for group, option in options:
        if option not in options_of(group):
            raise _unknown_option(group, option)
    config = copy.deepcopy(_compose_options(tuple(map("=".join, options))))
    types = dict(_setting_types(config))
    for key, text in values:
        if key not in types:
            raise _unknown_setting(key, types)
        try:
            OmegaConf.update(config, key, _read_value(key, text, types[key]), merge=True)
        except OmegaConfBaseException as error:
            raise _wrong_value(key, text, types[key]) from error
    return config


def expand_multirun(overrides: Sequence[str]) -> list[list[str]]:
    """Return the overrides of each run of `--multirun`: every combination of the given values.

    >>> expand_multirun(["seed=1,2", "model=resnet18,resnet50"])[:2]
    [['model=resnet18', 'seed=1'], ['model=resnet18', 'seed=2']]

    Raises:
        ConfigError: An option is unknown, or a word is not of the form setting=value.
    """
    options, values = _sort_overrides(overrides)
    runs = []
    for chosen in itertools.product(*(_choices(group, text) for group, text in options)):
        types = dict(_setting_types(compose_settings(chosen)))
        each = (_choices(key, text, types.get(key)) for key, text in values)
        runs += [[*chosen, *one] for one in itertools.product(*each)]
    return runs


def to_config(config: DictConfig) -> TrainConfig:
    """Turn composed settings into dataclasses, which check their ranges.

    Raises:
        ConfigError: A mandatory value is missing or a value is out of range.
    """
    try:
        if missing := sorted(OmegaConf.missing_keys(config)):
            raise ConfigError(f"{missing[0]} is required: add {missing[0]}=VALUE")
        result = OmegaConf.to_object(config)
    except OmegaConfBaseException as error:
        if isinstance(error.__cause__, SihwaError):
            raise error.__cause__ from None
        raise ConfigError(f"{error.full_key}: {_first_line(error)}") from error
    assert isinstance(result, TrainConfig)
    return result


def _sort_overrides(
    overrides: Sequence[str],
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return (group, option) and (setting, text) pairs."""
    groups = config_groups()
    pairs = []
    for override in overrides:
        key, sign, text = override.partition("=")
        key = key.lstrip("+")  # what `+` would add is refused as an unknown setting
        if key.startswith("~"):
            raise ConfigError(f"{override!r}: a setting cannot be removed, only given a value")
        if not (key and sign):
            raise ConfigError(f"{override!r} is not of the form setting=value")
        pairs.append((key, text))
    return [one for one in pairs if one[0] in groups], [
        one for one in pairs if one[0] not in groups
    ]


@lru_cache
def _compose_options(options: tuple[str, ...]) -> DictConfig:
    """Compose options that exist; not to be changed, since it is cached.

    Raises:
        ConfigError: They do not go together.
    """
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
    """Yield the dotted name and the type of every setting; `int` for `int | None`."""
    for name, hint in get_type_hints(OmegaConf.get_type(config)).items():
        kinds = [kind for kind in get_args(hint) if kind is not NoneType]
        kind = kinds[0] if NoneType in get_args(hint) else hint
        yield prefix + name, kind
        if is_dataclass(kind) and isinstance(config[name], DictConfig):
            yield from _setting_types(config[name], f"{prefix}{name}.")


def _read_value(key: str, text: str, kind: Any) -> Any:  # noqa: ANN401 -- a type and its value
    """Read a value as its setting's type asks.

    >>> _read_value("dataset.root", "2026_01_31", str)
    '2026_01_31'
    >>> _read_value("dataset.accept_classes", "[1_1, true, 'a, b']", list[str])
    ['1_1', 'true', 'a, b']
    """
    quote = text[:1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else ""
    if kind is str:
        return text[1:-1] if quote else text
    if kind == list[str] and text.startswith("[") and text.endswith("]"):
        quotechar = "'" if "'" in text and '"' not in text else '"'
        reader = csv.reader([text[1:-1]], quotechar=quotechar, skipinitialspace=True)
        return [item.strip() for item in next(reader, [])]
    try:
        parsed = OverridesParser.create().parse_override(f"{key}={text}")
    except HydraException:
        return text
    if parsed.is_sweep_override():
        raise ConfigError(f"{key}: several values ({text}) need --multirun; a list, [{text}]")
    return parsed.value()


def _choices(key: str, text: str, kind: Any = None) -> list[str]:  # noqa: ANN401 -- a type
    """Return an override for each value that `--multirun` is given for one setting."""
    if kind in (str, list[str]):
        return [f"{key}={value.strip()}" for value in _CHOICES.findall(text)] or [f"{key}="]
    try:
        parsed = OverridesParser.create().parse_override(f"{key}={text}")
        value: Any = parsed.value()
        if isinstance(value, Glob):
            names = value.filter(options_of(key)) or value.include
            return [f"{key}={name}" for name in names]
        if parsed.is_discrete_sweep():
            return [f"{key}={value}" for value in parsed.sweep_string_iterator()]
    except HydraException:  # composing names the mistake
        pass
    return [f"{key}={text}"]


def _wrong_value(key: str, text: str, kind: Any) -> ConfigError:  # noqa: ANN401 -- a type
    expected = _KINDS.get(kind, f"one of its settings by name, {key}.NAME=VALUE")
    if get_origin(kind) is list:
        expected = f"a list, such as '[{text}]'"
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
