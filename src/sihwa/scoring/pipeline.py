"""Blocks of work done side by side, in order, with a bounded number in hand."""

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def blocks_of(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Cut a stream into blocks of `size`; the last one may be shorter.

    >>> list(blocks_of("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    stream = iter(items)
    while block := list(itertools.islice(stream, size)):
        yield block


def run_in_order(
    blocks: Iterable[T], work: Callable[[T], R], workers: int, stop: Event
) -> Generator[R, None, None]:
    """Yield `work(block)` for each block, in order.

    A worker does a whole block, from reading to rows, so nothing is handed from thread to thread
    and no queue between them can grow: decoders and runtimes work outside of Python's lock. At
    most two blocks per worker are in hand, so a slow reader of the results slows the reading of
    the blocks.

    Args:
        blocks: Read by the calling thread.
        work: Called in threads.
        workers: Number of threads.
        stop: When set, no further block is begun; those in hand are finished and yielded.
    """
    window: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="score")
    try:
        for block in blocks:
            if stop.is_set():
                break
            window.append(pool.submit(work, block))
            if len(window) >= 2 * workers:
                yield window.popleft().result()
        while window:
            future = window.popleft()
            if stop.is_set() and future.cancel():
                break  # those after it must not be written either: rows stay in order
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
