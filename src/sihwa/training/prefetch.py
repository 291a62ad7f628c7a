"""Grouping images by size, and making the next batch while the current one is used."""

from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def group_by(items: Iterable[Item], key: Callable[[Item], Hashable]) -> list[list[Item]]:
    """Return items of the same key together, groups in order of first appearance.

    >>> group_by([1, 2, 3, 4], lambda number: number % 2)
    [[1, 3], [2, 4]]
    """
    groups: dict[Hashable, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())


def prefetch(make: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield `make(item)` for each item; a thread makes the next one meanwhile.

    >>> list(prefetch(str, [1, 2, 3]))
    ['1', '2', '3']
    """
    with ThreadPoolExecutor(1) as thread:
        ahead: Future[Result] | None = None
        for item in items:
            ready, ahead = ahead, thread.submit(make, item)
            if ready:
                yield ready.result()
        if ahead:
            yield ahead.result()
