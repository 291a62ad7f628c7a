"""The text of `--help`: examples, options, and what each setting means."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf

from sihwa.run.compose import config_groups, options_of

_WIDTH = 100
_COLUMN = 38
"""Where meanings begin."""
_USAGE = """sihwa train: from photographs to an inspector.

python train.py [setting=value ...]        sihwa train [setting=value ...]

Examples
  python train.py                                            2,624 solar cells, binary
  python train.py dataset=elpv dataset.classes=four
  python train.py dataset=neu_det dataset.root=NEU-DET.zip
  python train.py dataset=image_folder dataset.root=parts 'dataset.accept_classes=[good]'
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
    """Return the whole of `--help`, with the values of the options that were chosen.

    Args:
        config: Composed; mandatory values may be missing.
    """
    options = "\n".join(f"{group}: {', '.join(options_of(group))}" for group in config_groups())
    return _USAGE.format(options=options, settings="\n".join(_lines(config, "")))


def _lines(config: DictConfig, indent: str) -> Iterator[str]:
    """Yield a line or more per setting: its name, its value and what it means."""
    for name, meaning in _meanings(OmegaConf.get_type(config)).items():
        value = None if OmegaConf.is_missing(config, name) else config[name]
        if isinstance(value, DictConfig):
            yield f"{indent}{name}:"
            yield from _lines(value, indent + "  ")
            continue
        shown = "???" if OmegaConf.is_missing(config, name) else _yaml(value)
        first = f"{indent}{name}: {shown}"
        lines = textwrap.wrap(meaning, _WIDTH - _COLUMN) or [""]
        if len(first) >= _COLUMN:
            yield first
            first = ""
        yield f"{first:<{_COLUMN}}{lines[0]}".rstrip()
        yield from (" " * _COLUMN + line for line in lines[1:])


def _yaml(value: Any) -> str:  # noqa: ANN401 -- whatever YAML holds
    plain = OmegaConf.to_container(value) if isinstance(value, ListConfig) else value
    text = yaml.safe_dump([plain], default_flow_style=True, allow_unicode=True, width=1_000_000)
    return str(text).strip()[1:-1]


def _meanings(settings: type | None) -> dict[str, str]:
    """Return the docstring after each field of a dataclass, those of its bases first."""
    found: dict[str, str] = {}
    for kind in reversed(inspect.getmro(settings) if settings else ()):
        if not hasattr(kind, "__dataclass_fields__"):
            continue
        [body] = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
        assert isinstance(body, ast.ClassDef)
        for field, after in zip(body.body, [*body.body[1:], None], strict=True):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                text = ""
                match after:
                    case ast.Expr(value=ast.Constant(value=str(docstring))):
                        text = " ".join(docstring.replace("`", "").split())
                found[field.target.id] = text or found.get(field.target.id, "")
    return found
