"""How many threads may decode and inspect at once."""

import os


def available_cores() -> int:
    """Return how many cores this process may use: a container or `taskset` may allow fewer."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
