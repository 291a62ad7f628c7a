"""How fast each runtime is here, measured briefly and side by side.

Axes: N images, H and W image size.
"""

import itertools
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sihwa.inspector.inspector import batch_length
from sihwa.inspector.runtime import Runtime

TURN_S = 0.15
"""Least length of a turn; a turn is at least one batch."""
_TURNS = 4
_BATCHES = (1, 32)
_ENOUGH_S = 1.0
MOST_TIMED = 128
"""Different images that a measurement goes through: some decide themselves sooner than others."""
_MOST_BYTES = 64 * 2**20


def measure_speed(
    runtimes: Sequence[Runtime], image: NDArray[np.uint8]
) -> list[tuple[float, float]]:
    """Return each runtime's images per second, one by one and in batches of up to 32.

    The runtimes take turns, and the median of three turns counts, because other programs on the
    machine disturb now one and now another. The first turn warms up; it counts for a runtime so
    slow that a second of it was enough. All go through the same images, in an order of chance:
    classes that lie side by side in a folder may be slower than others.

    Args:
        runtimes: Loaded.
        image: Images of the usual size, (N, H, W, 3), as they come on the line.
    """
    image = image[np.random.default_rng(0).permutation(len(image))]
    batches = [_batches(image, count) for count in _BATCHES]
    trials = [_Trial(runtime, some) for runtime in runtimes for some in batches]
    for _ in range(_TURNS):
        for trial in trials:
            trial.take_turn()
    rates = [trial.rate for trial in trials]
    return list(zip(rates[::2], rates[1::2], strict=True))


class TimedImages:
    """Images of one size, that of the first: as many as a measurement needs, or memory bears."""

    def __init__(self) -> None:
        self._images: list[NDArray[np.uint8]] = []

    def add(self, image: NDArray[np.uint8]) -> None:
        """Take one more, (H, W, 3), if it is of the same size and there is room."""
        first = self._images[0] if self._images else image
        has_room = len(self._images) < MOST_TIMED and (
            (1 + len(self._images)) * first.nbytes <= _MOST_BYTES or not self._images
        )
        if has_room and image.shape == first.shape:
            self._images.append(image)

    @property
    def image(self) -> NDArray[np.uint8] | None:
        """All of them, (N, H, W, 3); None before the first."""
        return np.stack(self._images) if self._images else None


class _Trial:
    """One runtime with batches of one length."""

    def __init__(self, runtime: Runtime, batches: Sequence[NDArray[np.uint8]]) -> None:
        self._runtime = runtime
        self._batches = itertools.cycle(batches)
        self._spent = 0.0
        self._rates: list[float] = []

    @property
    def rate(self) -> float:
        """Images per second."""
        return float(np.median(self._rates[1:] or self._rates))

    def take_turn(self) -> None:
        if self._spent > _ENOUGH_S:
            return
        begin = time.perf_counter()
        passed, images = 0.0, 0
        while not images or passed < TURN_S:
            batch = next(self._batches)
            self._runtime.run(batch)
            images += len(batch)
            passed = time.perf_counter() - begin
        self._rates.append(images / passed)
        self._spent += passed


def _batches(image: NDArray[np.uint8], most: int) -> list[NDArray[np.uint8]]:
    """Return batches that hold all images, as long as an inspector makes them: (n, H, W, 3)."""
    count = min(most, batch_length(image[0]))
    if count == 1:
        return [image[place : place + 1] for place in range(len(image))]
    places = np.arange(-(-len(image) // count) * count) % len(image)
    return [image[some] for some in places.reshape(-1, count)]
