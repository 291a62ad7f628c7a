"""The machine that is measured: what it is, and in what state it was."""

import os
import platform
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sihwa.benchmark.gpu import open_gpu
from sihwa.images import available_cores
from sihwa.inspector import processor_of
from sihwa.inspector.machine import cpu_facts, package_version
from sihwa.inspector.runtime import runtime_version

_CPU = Path("/sys/devices/system/cpu/cpu0")


def describe_environment(devices: Sequence[str]) -> dict[str, Any]:
    """Return what the figures mean nothing without; None where the machine does not tell."""
    facts = cpu_facts()
    return {
        "cpu": {
            "model": processor_of("cpu"),
            "cores": os.cpu_count(),
            "usable_cores": available_cores(),
            "flags": sorted((facts.get("flags") or facts.get("features") or "").split()),
            "last_level_cache": _text(_CPU / "cache/index3/size"),
            "governor": _text(_CPU / "cpufreq/scaling_governor"),
            "is_virtual": "hypervisor" in facts.get("flags", "").split(),
        },
        "memory_mib": _memory_mib(),
        "gpus": {
            device: {"model": processor_of(device), "used_mib": gpu and gpu.used_mib()}
            for device in devices
            if device != "cpu"
            for gpu in [open_gpu(device)]
        },
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "versions": {
            "python": platform.python_version(),
            **{name: runtime_version(name) for name in ("onnxruntime", "openvino", "torch")},
            **{name: package_version(name) for name in ("numpy", "pillow", "simplejpeg")},
        },
    }


def describe_conditions(devices: Sequence[str]) -> dict[str, Any]:
    """Return how busy and how fast the machine is at this moment."""
    gpus = {device: open_gpu(device) for device in devices}
    return {
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "cpu_mhz": _frequencies_mhz(),
        "gpus": {
            device: {"mhz": gpu.clock_mhz(), "celsius": gpu.celsius()}
            for device, gpu in gpus.items()
            if gpu
        },
    }


def _frequencies_mhz() -> list[float]:
    """Return the clock of each core, as Linux has it now; empty on other systems."""
    with suppress(OSError):
        text = Path("/proc/cpuinfo").read_text("utf-8", errors="replace")
        return [round(float(mhz)) for mhz in re.findall(r"^cpu MHz\s*: ([\d.]+)", text, re.M)]
    return []


def _memory_mib() -> int | None:
    with suppress(ValueError, OSError, AttributeError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    return None


def _text(path: Path) -> str | None:
    with suppress(OSError):
        return path.read_text("utf-8", errors="replace").strip()
    return None
