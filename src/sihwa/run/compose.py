"""From command-line overrides to validated settings, with errors a QC engineer can act on."""

import difflib
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import sihwa
from sihwa.errors import ConfigError, SihwaError
from sihwa.run.config import TrainConfig, register_schemas

Result = TypeVar("Result")

_NEEDED = ("dataset", "augmentation", "model", "training", "decision", "evaluation", "export")
"""Groups of which one option must be chosen."""
_KINDS = {"Integer": "a whole number", "Float": "a number", "bool": "true or false"}
_WORD = re.compile(r"""(?P<quoted>"[^"]*"|'[^']*')|[^\s,\[\]{}"'][^,\[\]{}"']*""")


def config_dir() -> Path:
    """Return the folder of configs: in the wheel beside the code, in a checkout at its top."""
    packaged = Path(sihwa.__file__).parent / "configs"
    return packaged if packaged.is_dir() else Path(sihwa.__file__).parents[2] / "configs"


def compose_config(overrides: Sequence[str]) -> TrainConfig:
    """Compose and validate the settings of a run.

    Args:
        overrides: As on the command line: `dataset=neu_det`, `seed=3`, ...

    Raises:
        ConfigError: An override is misspelt, of the wrong type, out of range or missing.
    """
    return _composed(overrides, to_config)


def check_overrides(overrides: Sequence[str]) -> None:
    """Check what is given, and not whether it is enough for a run: `--help` needs no images.

    Raises:
        ConfigError: An override is misspelt or of the wrong type.
    """
    _composed(overrides, lambda _: None)


def each_value(overrides: Sequence[str]) -> Iterator[list[str]]:
    """Yield settings for single runs, such that each value of a multirun comes up in one.

    >>> list(each_value(["seed=1,2", "model=resnet18,resnet50"]))
    [['seed=1', 'model=resnet18'], ['seed=2', 'model=resnet18'], ['seed=1', 'model=resnet50']]
    """
    values = [_values(override) for override in overrides]
    first = [one[0] for one in values]
    yield first
    for place, some in enumerate(values):
        for value in some[1:]:
            yield [*first[:place], value, *first[place + 1 :]]


def _values(override: str) -> list[str]:
    try:
        parsed = OverridesParser.create().parse_override(quote_override(override))
        value: Any = parsed.value()
        if isinstance(value, Glob):
            names = value.filter(options_of(parsed.key_or_group)) or value.include
        elif parsed.is_discrete_sweep():
            names = list(parsed.sweep_string_iterator())
        else:
            return [override]
        return [f"{parsed.get_key_element()}={name}" for name in names]
    except HydraException:  # composing says what is wrong
        return [override]


def _composed(overrides: Sequence[str], finish: Callable[[DictConfig], Result]) -> Result:
    register_schemas()
    quoted = [quote_override(override) for override in overrides]
    for override in quoted:
        key, _, value = override.partition("=")
        if key in (*_NEEDED, "experiment") and value.lower() in ("null", ""):
            raise _unknown_option(key, value)
        if not key.lstrip("+~"):
            raise _no_setting(override)
        if key.startswith("~"):
            raise ConfigError(f"{override!r}: a setting cannot be taken away, only given a value")
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        try:
            config = compose("train", quoted)
            _refuse_added(quoted)
            return finish(config)
        except (HydraException, OmegaConfBaseException) as error:
            raise _explained(quoted, error) from error


def quote_override(override: str) -> str:
    """Return the override as Hydra can read it, with quotation marks where its grammar needs them.

    That grammar knows no letter beyond ASCII outside quotation marks, and no bare parenthesis.

    >>> quote_override("dataset.root=parts")
    'dataset.root=parts'
    >>> quote_override("dataset.accept_classes=[정상, good]")
    'dataset.accept_classes=["정상", good]'
    >>> quote_override("dataset.root=C:/부품 (1)")
    'dataset.root="C:/부품 (1)"'
    """
    key, sign, value = override.partition("=")
    words = _WORD.sub(
        lambda word: word[0] if word["quoted"] or word[0].isascii() else _quoted(word[0]), value
    )
    candidates = [override, f"{key}{sign}{words}", f"{key}{sign}{_quoted(value)}"]
    return next((candidate for candidate in candidates if _is_readable(candidate)), override)


def _quoted(text: str) -> str:
    # Hydra takes a backslash literally unless it stands before a quotation mark
    escaped = re.sub(r'(\\*)"', r'\1\1\\"', text)
    return '"' + re.sub(r"(\\+)$", r"\1\1", escaped) + '"'


def _is_readable(override: str) -> bool:
    try:
        OverridesParser.create().parse_override(override)
    except HydraException:
        return False
    return True


def to_config(config: DictConfig) -> TrainConfig:
    """Turn composed settings into dataclasses; ranges are checked on the way.

    Raises:
        ConfigError: A mandatory value is missing or a value is out of range.
    """
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise ConfigError(f"{missing[0]} is required: add {missing[0]}=VALUE")
    try:
        result = OmegaConf.to_object(config)
    except OmegaConfBaseException as error:
        if isinstance(error.__cause__, SihwaError):
            raise error.__cause__ from None
        raise
    assert isinstance(result, TrainConfig)
    return result


def _refuse_added(overrides: list[str]) -> None:
    """Refuse what `+name=` would add: Hydra takes any name, and no part of a run would read it."""
    added = [o for o in overrides if o.startswith("+") and not o.lstrip("+").startswith("hydra")]
    others = [override for override in overrides if override not in added]
    for override in added:
        key = override.lstrip("+").partition("=")[0]
        if key not in config_groups() and key not in (keys := _settings(others)):
            raise _unknown_setting(key, keys)


def _explained(overrides: list[str], error: Exception) -> ConfigError:
    """Find the override that is to blame and say what would have been right."""
    options = {group: options_of(group) for group in config_groups()}
    chosen = [
        override
        for override in overrides
        if override.partition("=")[2] in options.get(override.partition("=")[0], [])
    ]
    try:
        compose("train", chosen)
    except (HydraException, OmegaConfBaseException) as clash:
        return _clash(chosen, clash)
    good: list[str] = []
    for override in overrides:
        try:
            OverridesParser.create().parse_override(override)
            compose("train", [*good, override])
        except (HydraException, OmegaConfBaseException) as first:
            return _explain_one(override, chosen, first)
        good.append(override)
    key = getattr(error, "full_key", None)
    return ConfigError(f"{key}: {_first_line(error)}" if key else _first_line(error))


def _clash(chosen: list[str], error: Exception) -> ConfigError:
    """Say which options do not go together: one sets what another does not have."""
    for option in chosen:
        if len(chosen) > 1 and not _composes(fewer := [o for o in chosen if o != option]):
            return _clash(fewer, error)
    key = re.search(r"full_key: (\S+)", str(error))
    return ConfigError(
        f"{' and '.join(chosen)} do not go together: "
        + (f"{key[1]} is set by one and unknown to another" if key else _first_line(error))
        + ". Leave one of them out"
    )


def _composes(overrides: list[str]) -> bool:
    try:
        compose("train", overrides)
    except (HydraException, OmegaConfBaseException):
        return False
    return True


def _explain_one(override: str, chosen: list[str], error: Exception) -> ConfigError:
    key, sign, value = override.partition("=")
    if isinstance(error, OverrideParseException) or not (key and sign):
        return _no_setting(override)
    if isinstance(error, MissingConfigException) and key in config_groups():
        return _unknown_option(key, value)
    keys = list(dict.fromkeys([*_settings(chosen), *config_groups()]))
    if key.lstrip("+") not in keys and not key.startswith("hydra"):
        return _unknown_setting(key, keys)
    return ConfigError(f"{key}: {_expected(_first_line(error), value)}")


def _no_setting(override: str) -> ConfigError:
    return ConfigError(
        f"{override!r} is not of the form setting=value; quote values with spaces, commas or "
        "brackets: 'name=\"a value\"'"
    )


def _unknown_setting(key: str, keys: list[str]) -> ConfigError:
    near = difflib.get_close_matches(key, keys, n=3) or keys[:3]
    return ConfigError(f"unknown setting {key!r}; nearest: {', '.join(near)}")


def _expected(text: str, value: str) -> str:
    """Return what OmegaConf says of a value of the wrong type, in a user's words.

    >>> _expected("Value 'abc' of type 'str' could not be converted to Integer", "abc")
    "expected a whole number, got 'abc'"
    >>> _expected("Value 'maybe' is not a valid bool (type str)", "maybe")
    "expected true or false, got 'maybe'"
    """
    if not value.startswith("[") and "is not a ListConfig" in text:
        return f"expected a list, such as '[{value}]', got {value!r}"
    if "is not Optional" in text:
        return "expected a value, got null"
    if "Ambiguous value" in text or "requires --multirun" in text:
        return (
            f"several values ({value}) need --multirun; a list needs brackets, [{value}], and a "
            "text with commas quotation marks"
        )
    found = re.fullmatch(
        r"Value (.*) (?:of type '\w+' could not be converted to |is not a valid )(\w+).*", text
    )
    if found is None or found[2] not in _KINDS:
        return text
    return f"expected {_KINDS[found[2]]}, got {found[1]}"


def _unknown_option(group: str, value: str) -> ConfigError:
    options = options_of(group)
    near = difflib.get_close_matches(value, options, n=1)
    hint = f"; nearest: {near[0]}" if near else ""
    return ConfigError(f"{group} must be one of {', '.join(options)}; got {value!r}{hint}")


def options_of(group: str) -> list[str]:
    """Return the options of a group of settings, by name."""
    return sorted(path.stem for path in (config_dir() / group).glob("*.yaml"))


def config_groups() -> list[str]:
    """Return the groups of settings that an option can be chosen for."""
    return sorted(path.name for path in config_dir().iterdir() if path.is_dir())


def _settings(overrides: list[str]) -> list[str]:
    """Return every setting under its dotted name."""
    keys: list[str] = []

    def visit(node: DictConfig, prefix: str) -> None:
        for key in map(str, node):
            name = f"{prefix}{key}"
            keys.append(name)
            child = node._get_node(key)
            if isinstance(child, DictConfig) and not child._is_none() and not child._is_missing():
                visit(child, f"{name}.")

    visit(compose("train", overrides), "")
    return keys


def _first_line(error: BaseException) -> str:
    """Return what the innermost cause says; Hydra wraps it in words about its own workings."""
    while error.__cause__ is not None:
        error = error.__cause__
    return re.sub(r"\s+", " ", str(error).strip().splitlines()[0]) if str(error) else repr(error)
