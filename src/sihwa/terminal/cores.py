"""How many cores this process may use: `taskset` or a container may allow fewer than exist."""

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_PROCESS, _ROOT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def available_cores() -> int:
    """Return how many cores this process may use; a CPU quota is rounded up."""
    return max(1, math.ceil(min(visible_cores(), cpu_quota())))


def visible_cores() -> int:
    """Return how many cores libraries see: they count by affinity at best, not by a quota."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def limited_threads(asked: int = 0) -> int:
    """Return how many threads a library shall use; 0 is its own choice.

    Where a quota allows fewer than the library would choose, 0 becomes the cores that it allows.
    """
    return asked or (available_cores() if available_cores() < visible_cores() else 0)


def limit_libraries() -> None:
    """Let libraries that are loaded later use no more threads than a quota allows."""
    if threads := limited_threads():
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ.setdefault(name, str(threads))


def cpu_quota(process: Path = _PROCESS, root: Path = _ROOT) -> float:
    """Return how many cores' time the kernel gives this process; inf without a limit.

    Limits of all groups above it count, too: those of Docker (`--cpus`), Kubernetes and systemd,
    by version 1 or 2 of Linux's control groups.
    """
    limits = [math.inf]
    for folder in _folders(process, root):
        with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
            quota, period = (folder / "cpu.max").read_text().split()  # "max 100000" without a limit
            limits.append(int(quota) / int(period))
        with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
            quota, period = (
                (folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")
            )
            limits.append(int(quota) / int(period) if int(quota) > 0 else math.inf)
    return min(limits)


def _folders(process: Path, root: Path) -> Iterator[Path]:
    """Yield where the limits of this process may stand."""
    try:
        lines = process.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mounts = (controllers, "cpu") if controllers else ("", "unified")
        inside = PurePosixPath("/", path)
        for mount in mounts:
            for group in (inside, *inside.parents):
                yield root / mount / group.relative_to("/")
