"""Work on many images at once, in threads."""

import os
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sihwa.terminal.progress import progress_bar

Argument = TypeVar("Argument")
Result = TypeVar("Result")


def available_cores() -> int:
    """Return how many cores this process may use: a container or `taskset` may allow fewer."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_with_progress(
    title: str, function: Callable[[Argument], Result], arguments: Collection[Argument]
) -> list[Result]:
    """Apply a function to each argument in threads, under a progress bar; keep their order.

    >>> map_with_progress("adding", lambda number: number + 1, [1, 2])
    [2, 3]
    """
    threads = ThreadPoolExecutor(available_cores())
    results = []
    try:
        with progress_bar(title, len(arguments)) as advance:
            for result in threads.map(function, arguments):
                results.append(result)
                advance(1)
    finally:
        threads.shutdown(cancel_futures=True)  # on Ctrl-C, only the calls under way finish
    return results
