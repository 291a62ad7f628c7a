"""An NVIDIA GPU: energy, memory, clock and temperature, read with NVIDIA's own `pynvml`."""

from collections.abc import Callable
from typing import TypeVar

import pynvml

T = TypeVar("T")


class Gpu:
    """One GPU; a value that it does not report is None.

    Args:
        handle: From NVML.
    """

    def __init__(self, handle: object) -> None:
        self._handle = handle

    def joules(self) -> float | None:
        """Return the energy used since the driver was loaded."""
        return self._read(lambda gpu: pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu) / 1000)

    def used_mib(self) -> float | None:
        """Return the memory in use, by all programs."""
        return self._read(lambda gpu: pynvml.nvmlDeviceGetMemoryInfo(gpu).used / 2**20)

    def mhz(self) -> int | None:
        """Return the current clock of its multiprocessors."""
        return self._read(lambda gpu: pynvml.nvmlDeviceGetClockInfo(gpu, pynvml.NVML_CLOCK_SM))

    def celsius(self) -> int | None:
        """Return the temperature of the chip."""
        sensor = pynvml.NVML_TEMPERATURE_GPU
        return self._read(lambda gpu: pynvml.nvmlDeviceGetTemperature(gpu, sensor))

    def _read(self, read: Callable[[object], T]) -> T | None:
        try:
            return read(self._handle)
        except pynvml.NVMLError:
            return None


def open_gpu(device: str) -> Gpu | None:
    """Return the GPU behind `cuda` or `cuda:N`; None for the CPU, or without driver or GPU."""
    kind, _, index = device.partition(":")
    if kind != "cuda":
        return None
    try:
        pynvml.nvmlInit()
        return Gpu(pynvml.nvmlDeviceGetHandleByIndex(int(index or 0)))
    except pynvml.NVMLError:
        return None
