"""What the arithmetic of this machine depends on: its processors and the runtimes' versions.

A proof holds for the machine it was made on. Kernels are chosen by instruction set, so the name
of a processor is not enough: virtual machines call an "AMD EPYC" with and without AVX-512 alike.
"""

import contextlib
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_EXTENSIONS = (
    "avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16",
    "avx512_fp16", "amx_int8", "amx_bf16", "asimd", "asimddp", "sve", "i8mm", "bf16",
)  # fmt: skip
"""Instruction sets, by their names in Linux, that kernels of neural networks are written for."""


def processor_of(device: str) -> str:
    """Return the processor behind `cpu`, `cuda` or `cuda:N`, with what chooses its arithmetic."""
    return _graphics_card(device.partition(":")[2] or "0") if device != "cpu" else _cpu()


@cache
def package_version(*distributions: str) -> str | None:
    """Return the version of the first of these distributions that is installed.

    Read from its metadata, because importing a runtime to ask it takes longer than inspecting.
    """
    from importlib.metadata import PackageNotFoundError, version  # slow, and not always needed

    for name in distributions:
        with contextlib.suppress(PackageNotFoundError):
            return version(name)
    return None


def cpu_facts() -> dict[str, str]:
    """Return what Linux says of the first core, by its names there; nothing on other systems."""
    with contextlib.suppress(OSError):
        first = Path("/proc/cpuinfo").read_text("utf-8", errors="replace").partition("\n\n")[0]
        pairs = (line.partition(":") for line in first.splitlines())
        return {key.strip().lower(): value.strip() for key, _, value in pairs}
    return {}


@cache
def _cpu() -> str:
    if facts := cpu_facts():
        return _named(facts)
    name = platform.processor() or platform.machine()
    if sys.platform == "darwin":
        name = _first_line("sysctl", "-n", "machdep.cpu.brand_string") or name
    return _plain(name)


def _named(facts: Mapping[str, str]) -> str:
    """Return a CPU's name with what chooses its arithmetic.

    >>> _named({"model name": "X", "cpu family": "25", "model": "1", "flags": "fpu avx2"})
    'X (family 25, model 1; avx2)'
    """
    present = set((facts.get("flags") or facts.get("features") or "").split())
    family = facts.get("cpu family") or facts.get("cpu implementer") or "?"
    model = facts.get("model") or facts.get("cpu part") or "?"
    name = facts.get("model name") or platform.machine()
    extensions = " ".join(name for name in _EXTENSIONS if name in present)
    return _plain(f"{name} (family {family}, model {model}; {extensions})")


@cache
def _graphics_card(index: str) -> str:
    line = _first_line(
        "nvidia-smi", f"--id={index}", "--query-gpu=name,driver_version", "--format=csv,noheader"
    )
    name, _, driver = line.partition(", ")
    return _plain(f"{name} (driver {driver})") if driver else f"no NVIDIA card {index}"


def _first_line(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.partition("\n")[0].strip()


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()[:200]
