"""Runtimes: what executes an inspector's graph, behind one small interface."""

from sihwa.inspector.runtime.interface import Outputs, Runtime, RuntimeChoice
from sihwa.inspector.runtime.registry import create_runtime, installed_choices

__all__ = ["Outputs", "Runtime", "RuntimeChoice", "create_runtime", "installed_choices"]
