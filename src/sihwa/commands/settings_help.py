"""What each setting means, for `--help`: the docstrings of the settings' dataclasses."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

_WIDTH = 100
_COLUMN = 38
"""Where meanings begin."""


def describe_settings(config: DictConfig) -> str:
    """Return a line per setting: its name, its value and what it means.

    Args:
        config: Composed, not yet validated; what is not of a dataclass (Hydra's own) is left out.
    """
    return "\n".join(_lines(config, ""))


def _lines(config: DictConfig, indent: str) -> Iterator[str]:
    meaning = _meanings(OmegaConf.get_type(config))
    for name in meaning:
        value = None if OmegaConf.is_missing(config, name) else config[name]
        if isinstance(value, DictConfig):
            yield f"{indent}{name}:"
            yield from _lines(value, indent + "  ")
            continue
        plain = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
        shown = "???" if OmegaConf.is_missing(config, name) else _yaml(plain)
        first = f"{indent}{name}: {shown}"
        lines = textwrap.wrap(meaning[name], _WIDTH - _COLUMN) or [""]
        if len(first) >= _COLUMN:
            yield first
            first = ""
        yield f"{first:<{_COLUMN}}{lines[0]}".rstrip()
        yield from (" " * _COLUMN + line for line in lines[1:])


def _yaml(value: Any) -> str:  # noqa: ANN401 -- whatever YAML holds
    if isinstance(value, list):
        return f"[{', '.join(map(_yaml, value))}]"
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else str(value) or "''"


def _meanings(settings: type | None) -> dict[str, str]:
    """Return the docstring after each field of a dataclass, those of its bases before its own."""
    found: dict[str, str] = {}
    for kind in reversed(inspect.getmro(settings) if settings else ()):
        if not hasattr(kind, "__dataclass_fields__"):
            continue
        [body] = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
        assert isinstance(body, ast.ClassDef)
        for field, after in zip(body.body, [*body.body[1:], None], strict=True):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                found[field.target.id] = _text(after) or found.get(field.target.id, "")
    return found


def _text(node: ast.stmt | None) -> str:
    match node:
        case ast.Expr(value=ast.Constant(value=str(text))):
            return " ".join(text.replace("`", "").split())
    return ""
