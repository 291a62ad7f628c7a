"""Runtimes: what executes an inspector, behind one small interface."""

from sihwa.inspector.runtime.interface import Outputs, Runtime
from sihwa.inspector.runtime.registry import (
    REFERENCE,
    check_choice,
    create_runtime,
    installed_choices,
    is_offered,
    offered_choices,
    runtime_version,
    why_none,
)
from sihwa.inspector.runtime_choice import PRECISIONS, RuntimeChoice

__all__ = [
    "PRECISIONS",
    "REFERENCE",
    "Outputs",
    "Runtime",
    "RuntimeChoice",
    "check_choice",
    "create_runtime",
    "installed_choices",
    "is_offered",
    "offered_choices",
    "runtime_version",
    "why_none",
]
