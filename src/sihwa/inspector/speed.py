"""Measure how fast each runtime is on this machine, briefly and side by side.

Axes: N images, H and W image size.
"""

import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sihwa.images import batch_length
from sihwa.inspector.runtime.interface import Runtime

TURN_S = 0.15
"""Shortest turn; a turn is at least one batch."""
_TURNS = 4
_BATCHES = (1, 32)
_ENOUGH_S = 1.0
MOST_TIMED = 128
"""Different images to measure on: a close call of the INT8 model takes longer than others."""
_MOST_BYTES = 64 * 2**20


def measure_speed(
    runtimes: Sequence[Runtime], image: NDArray[np.uint8]
) -> list[tuple[float, float]]:
    """Return each runtime's images per second, one by one and in batches of up to 32.

    The runtimes take turns, and the median of three turns counts, so that other programs on the
    machine disturb all runtimes alike. The first turn warms up; it only counts for a runtime that
    is stopped after it, having run for over a second. All runtimes see the same images, (N, H,
    W, 3), in one random order, because images of one class may be slower than others.
    """
    image = image[np.random.default_rng(0).permutation(len(image))]
    batches = [_batches(image, count) for count in _BATCHES]
    trials = [_Trial(one, itertools.cycle(some)) for one in runtimes for some in batches]
    for _ in range(_TURNS):
        for trial in trials:
            trial.take_turn()
    rates = [float(np.median(trial.rates[1:] or trial.rates)) for trial in trials]
    return list(zip(rates[::2], rates[1::2], strict=True))


def timed_images(images: Iterable[NDArray[np.uint8]]) -> NDArray[np.uint8] | None:
    """Return images of one size, that of the first, to measure speed on: (N, H, W, 3).

    Images (H, W, 3) are read until 128 have that size or fill 64 MiB; None if there are none.
    """
    kept: list[NDArray[np.uint8]] = []
    for image in images:
        if kept and image.shape != kept[0].shape:
            continue
        kept.append(image)
        if len(kept) == MOST_TIMED or (1 + len(kept)) * image.nbytes > _MOST_BYTES:
            break
    return np.stack(kept) if kept else None


@dataclass
class _Trial:
    """One runtime with batches of one length, without end."""

    runtime: Runtime
    batches: Iterator[NDArray[np.uint8]]
    spent_s: float = 0.0
    rates: list[float] = field(default_factory=list)

    def take_turn(self) -> None:
        if self.spent_s > _ENOUGH_S:
            return
        begin = time.perf_counter()
        passed, images = 0.0, 0
        while not images or passed < TURN_S:
            batch = next(self.batches)
            self.runtime.run(batch)
            images += len(batch)
            passed = time.perf_counter() - begin
        self.rates.append(images / passed)
        self.spent_s += passed


def _batches(image: NDArray[np.uint8], most: int) -> list[NDArray[np.uint8]]:
    """Return all images in batches of the length that an inspector uses, (n, H, W, 3)."""
    count = min(most, batch_length(image[0].nbytes))
    if count == 1:
        return [image[place : place + 1] for place in range(len(image))]
    places = np.arange(-(-len(image) // count) * count) % len(image)
    return [image[some] for some in places.reshape(-1, count)]
