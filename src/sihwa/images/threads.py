"""Work on many images at once, in threads."""

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sihwa.terminal.cores import available_cores
from sihwa.terminal.progress import progress_bar

Argument = TypeVar("Argument")
Result = TypeVar("Result")


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
