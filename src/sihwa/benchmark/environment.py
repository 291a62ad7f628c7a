"""The machine that is measured: what it is, in what state it was, and its GPUs by `pynvml`."""

import os
import platform
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pynvml

from sihwa.images import available_cores
from sihwa.inspector import processor_of
from sihwa.inspector.machine import cpu_facts, package_version
from sihwa.inspector.runtime.registry import runtime_version
from sihwa.inspector.strict_json import Facts

_CPU = Path("/sys/devices/system/cpu/cpu0")


class Environment(Facts, frozen=True):
    """The machine; None for what the operating system does not report. GPUs are by device."""

    processor: str
    cores: int | None
    usable_cores: int
    flags: list[str]
    last_level_cache: str | None
    governor: str | None
    is_virtual: bool
    memory_mib: int | None
    gpus: dict[str, str]
    system: str
    versions: dict[str, str | None]


class Conditions(Facts, frozen=True):
    """How busy and how fast the machine was at the start of a round; GPUs are by device."""

    round: int
    load: float | None
    cpu_mhz: list[int]
    gpus: dict[str, dict[str, float | None]]


class Gpu:
    """An NVIDIA GPU; a value that it does not report is None."""

    def __init__(self, handle: object) -> None:
        self._handle = handle

    def joules(self) -> float | None:
        """Return the energy used since the driver was loaded."""
        return self._read(lambda gpu: pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu) / 1000)

    def used_mib(self) -> float | None:
        """Return the memory in use, by all programs."""
        return self._read(lambda gpu: pynvml.nvmlDeviceGetMemoryInfo(gpu).used / 2**20)

    def state(self) -> dict[str, float | None]:
        """Return clock of the multiprocessors, temperature of the chip, and memory in use."""
        clock, sensor = pynvml.NVML_CLOCK_SM, pynvml.NVML_TEMPERATURE_GPU
        return {
            "mhz": self._read(lambda gpu: pynvml.nvmlDeviceGetClockInfo(gpu, clock)),
            "celsius": self._read(lambda gpu: pynvml.nvmlDeviceGetTemperature(gpu, sensor)),
            "used_mib": self.used_mib(),
        }

    def _read(self, read: Callable[[object], float]) -> float | None:
        try:
            return read(self._handle)
        except pynvml.NVMLError:
            return None


def open_gpus(devices: Sequence[str]) -> dict[str, Gpu]:
    """Return the GPU behind each `cuda` or `cuda:N`; without a driver it is left out."""
    gpus = {}
    for device in devices:
        kind, _, index = device.partition(":")
        if kind == "cuda":
            with suppress(pynvml.NVMLError):
                pynvml.nvmlInit()
                gpus[device] = Gpu(pynvml.nvmlDeviceGetHandleByIndex(int(index or 0)))
    return gpus


def describe_environment(devices: Sequence[str]) -> Environment:
    """Return what the figures depend on."""
    facts = cpu_facts()
    memory_mib = None
    with suppress(ValueError, OSError, AttributeError):
        memory_mib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    return Environment(
        processor=processor_of("cpu"),
        cores=os.cpu_count(),
        usable_cores=available_cores(),
        flags=sorted((facts.get("flags") or facts.get("features") or "").split()),
        last_level_cache=_text(_CPU / "cache/index3/size"),
        governor=_text(_CPU / "cpufreq/scaling_governor"),
        is_virtual="hypervisor" in facts.get("flags", "").split(),
        memory_mib=memory_mib,
        gpus={device: processor_of(device) for device in devices if device != "cpu"},
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        versions={
            "python": platform.python_version(),
            **{name: runtime_version(name) for name in ("onnxruntime", "openvino", "torch")},
            **{name: package_version(name) for name in ("numpy", "pillow", "simplejpeg")},
        },
    )


def describe_conditions(number: int, gpus: dict[str, Gpu]) -> Conditions:
    """Return load, clocks and temperatures at the start of round `number`."""
    text = _text(Path("/proc/cpuinfo")) or ""
    return Conditions(
        round=number,
        load=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        cpu_mhz=[round(float(mhz)) for mhz in re.findall(r"^cpu MHz\s*: ([\d.]+)", text, re.M)],
        gpus={device: gpu.state() for device, gpu in gpus.items()},
    )


def _text(path: Path) -> str | None:
    with suppress(OSError):
        return path.read_text("utf-8", errors="replace").strip()
    return None
