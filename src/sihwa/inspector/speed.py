"""How fast each runtime is here, measured briefly and side by side.

Axes: N images, H and W picture size.
"""

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sihwa.inspector.runtime import Runtime

__all__ = ["measure_speed"]

TURN_S = 0.15
"""Least length of a turn; a turn is at least one batch."""
_TURNS = 4
_BATCHES = (1, 32)
_ENOUGH_S = 1.0


def measure_speed(
    runtimes: Sequence[Runtime], image: NDArray[np.uint8]
) -> list[tuple[float, float]]:
    """Return each runtime's pictures per second, one by one and in batches of 32.

    The runtimes take turns, and the median of three turns counts, because other programs on the
    machine disturb now one and now another. The first turn warms up; it counts for a runtime so
    slow that a second of it was enough.

    Args:
        runtimes: Loaded.
        image: A picture of the usual size, (H, W, 3).
    """
    batches = [np.repeat(image[None], count, axis=0) for count in _BATCHES]
    trials = [_Trial(runtime, batch) for runtime in runtimes for batch in batches]
    for _ in range(_TURNS):
        for trial in trials:
            trial.take_turn()
    rates = [trial.rate for trial in trials]
    return list(zip(rates[::2], rates[1::2], strict=True))


class _Trial:
    """One runtime with batches of one length."""

    def __init__(self, runtime: Runtime, batch: NDArray[np.uint8]) -> None:
        self._runtime = runtime
        self._batch = batch
        self._spent = 0.0
        self._rates: list[float] = []

    @property
    def rate(self) -> float:
        """Pictures per second."""
        return float(np.median(self._rates[1:] or self._rates))

    def take_turn(self) -> None:
        if self._spent > _ENOUGH_S:
            return
        begin = time.perf_counter()
        passed, images = 0.0, 0
        while not images or passed < TURN_S:
            self._runtime.run(self._batch)
            images += len(self._batch)
            passed = time.perf_counter() - begin
        self._rates.append(images / passed)
        self._spent += passed
