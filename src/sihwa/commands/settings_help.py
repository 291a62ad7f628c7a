"""The text of `--help`: examples, options, and what each setting means."""

import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from sihwa.run.compose import config_groups, options_of

_WIDTH = 100
_COLUMN = 38
"""Where meanings begin."""
_FIELD = re.compile(r'^    (\w+): [^\n]*\n    """(.+?)"""', re.MULTILINE | re.DOTALL)
"""A field of a dataclass, and the docstring below it."""
_USAGE = """sihwa train: from images to an inspector.

python train.py [setting=value ...]        sihwa train [setting=value ...]

Examples
  python train.py                                            2,624 solar cells, binary
  python train.py dataset=elpv dataset.classes=four
  python train.py dataset=neu_det dataset.root=NEU-DET.zip
  python train.py dataset=image_folder dataset.root=parts "dataset.accept_classes=[good]"
  python train.py dataset=auto dataset.root=KolektorSDD2     a public set; sihwa fetch lists them
  python train.py dataset=manifest dataset.path=labels.csv seed=3
  python train.py training=probe                             the quick look: a minute
  python train.py evaluation.folds=5                         mean and deviation over five folds
  python train.py --multirun seed=0,1,2                      one run for each value
  python train.py sweep=finetune training=stages             search for better settings
  python train.py resume=outputs/2026-01-31/14-05-09         resume after a crash
  python train.py --cfg job                                  show the settings, do not run

Options of each group (group=option)
{options}

Settings (setting=value)

{settings}"""


def help_text(config: DictConfig) -> str:
    """Return the whole of `--help` for composed settings; mandatory values may be missing."""
    options = "\n".join(f"{group}: {', '.join(options_of(group))}" for group in config_groups())
    return _USAGE.format(options=options, settings="\n".join(_lines(config, "")))


def _lines(config: DictConfig, indent: str) -> Iterator[str]:
    """Yield a line or more per setting: its name, its value and what it means."""
    meanings = _meanings(OmegaConf.get_type(config))
    settings: Any = OmegaConf.to_container(config, resolve=True)
    for name, value in settings.items():
        if isinstance(value, dict):
            yield f"{indent}{name}:"
            yield from _lines(config[name], indent + "  ")
            continue
        shown = yaml.safe_dump([value], default_flow_style=True, allow_unicode=True, width=10_000)
        first = f"{indent}{name}: {value if value == '???' else shown.strip()[1:-1]}"
        lines = textwrap.wrap(meanings[name], _WIDTH - _COLUMN)
        if len(first) >= _COLUMN:
            yield first
            first = ""
        yield f"{first:<{_COLUMN}}{lines[0]}".rstrip()
        yield from (" " * _COLUMN + line for line in lines[1:])


def _meanings(settings: type | None) -> dict[str, str]:
    """Return the docstring below each field of a dataclass and of its bases."""
    found: dict[str, str] = {}
    for kind in reversed(inspect.getmro(settings) if settings else ()):
        if is_dataclass(kind):
            found |= dict(_FIELD.findall(inspect.getsource(kind)))
    return {name: " ".join(text.replace("`", "").split()) for name, text in found.items()}
