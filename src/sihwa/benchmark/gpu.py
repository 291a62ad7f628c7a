"""What an NVIDIA card tells of itself, through the library of its driver; no package needed."""

import contextlib
import ctypes
import sys
from typing import Any

_LIBRARY = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"
_SM_CLOCK = 1
_CORE_TEMPERATURE = 0


class _Memory(ctypes.Structure):
    _fields_ = (
        ("total", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    )


class Gpu:
    """One card; every question is answered by a number, or None where the card does not tell.

    Args:
        library: NVML, started.
        index: Which card, from 0.

    Source: NVML API reference; NVML_SUCCESS is 0.
    """

    def __init__(self, library: Any, index: int) -> None:  # noqa: ANN401 -- ctypes has no types
        self._library = library
        self._handle = ctypes.c_void_p()
        library.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(self._handle))

    def joules(self) -> float | None:
        """Return the energy it has taken since the driver was loaded."""
        value = ctypes.c_ulonglong()
        told = self._ask("nvmlDeviceGetTotalEnergyConsumption", ctypes.byref(value))
        return value.value / 1000 if told else None

    def used_mib(self) -> float | None:
        """Return the memory that is in use, by all programs."""
        memory = _Memory()
        told = self._ask("nvmlDeviceGetMemoryInfo", ctypes.byref(memory))
        return memory.used / 2**20 if told else None

    def clock_mhz(self) -> int | None:
        """Return the clock of its processors now."""
        value = ctypes.c_uint()
        told = self._ask("nvmlDeviceGetClockInfo", _SM_CLOCK, ctypes.byref(value))
        return value.value if told else None

    def celsius(self) -> int | None:
        """Return how warm it is."""
        value = ctypes.c_uint()
        told = self._ask("nvmlDeviceGetTemperature", _CORE_TEMPERATURE, ctypes.byref(value))
        return value.value if told else None

    def _ask(self, function: str, *arguments: object) -> bool:
        return bool(getattr(self._library, function)(self._handle, *arguments) == 0)


def open_gpu(device: str) -> Gpu | None:
    """Return the card behind `cuda` or `cuda:N`; None for another device or without a driver."""
    kind, _, index = device.partition(":")
    if kind != "cuda":
        return None
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(_LIBRARY)
        if library.nvmlInit_v2() == 0:
            return Gpu(library, int(index or 0))
    return None
