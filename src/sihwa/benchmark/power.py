"""Energy: what the processor or the graphics card says it has taken."""

from collections.abc import Callable
from pathlib import Path

from sihwa.benchmark.gpu import open_gpu

Meter = Callable[[], float | None]
"""Returns joules since some moment; None where the machine does not tell."""

_POWERCAP = Path("/sys/class/powercap")


class PackageMeter:
    """The processor packages of Intel and AMD, as Linux counts them (RAPL).

    Counters start anew when they are full, so it must be asked more often than that: some minutes.

    Args:
        root: Where Linux shows them.

    Source: Linux, Documentation/power/powercap/powercap.rst.
    """

    def __init__(self, root: Path = _POWERCAP) -> None:
        self._zones = [zone for zone in sorted(root.glob("intel-rapl:*")) if _is_package(zone)]
        self._last: dict[Path, int] = {}
        self._joules = 0.0

    def __call__(self) -> float | None:
        """Return joules since the first call; None without counters, or without leave to read."""
        try:
            for zone in self._zones:
                now = _number(zone / "energy_uj")
                passed = now - self._last.get(zone, now)
                if passed < 0:
                    passed += _number(zone / "max_energy_range_uj")
                self._joules += passed / 1e6
                self._last[zone] = now
        except (OSError, ValueError):
            return None
        return self._joules if self._zones else None


def energy_meter(device: str) -> Meter:
    """Return what measures the energy that a device takes, all of it: idle is in the figure."""
    if device == "cpu":
        return PackageMeter()
    gpu = open_gpu(device)
    return gpu.joules if gpu else lambda: None


def _is_package(zone: Path) -> bool:
    try:
        return (zone / "name").read_text().startswith("package")
    except OSError:
        return False


def _number(path: Path) -> int:
    return int(path.read_text())
