"""Percentiles with bootstrap intervals, from samples that were taken in turns.

Axes: R turns, C samples of a turn, Q percentiles, B resamples.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from sihwa.inspector.strict_json import Facts

PERCENTS = {"p50": 50.0, "p95": 95.0, "p99": 99.0, "p99.9": 99.9}
CONFIDENCE = 0.95
_RESAMPLES = 1000
_CHUNK_BYTES = 32 * 2**20


class Percentile(Facts, frozen=True):
    """A percentile and its 95 % interval."""

    value_ms: float
    low_ms: float
    high_ms: float


class Latency(Facts, frozen=True):
    """Percentiles of all samples; nothing is discarded or clipped."""

    samples: int
    p50: Percentile
    p95: Percentile
    p99: Percentile
    p99_9: Percentile
    worst_ms: float

    @property
    def percentiles(self) -> dict[str, Percentile]:
        """All of them by name, as in `PERCENTS`."""
        return {name: getattr(self, name.replace(".", "_")) for name in PERCENTS}


def bootstrap_interval(
    turns: NDArray[np.floating],
    percents: Sequence[float],
    seed: int = 0,
    through: Callable[[NDArray[np.floating]], NDArray[np.floating]] = lambda samples: samples,
) -> NDArray[np.float64]:
    """Return the interval of each percentile by resampling whole turns.

    Samples of one turn resemble each other, because the machine drifts; single samples would be
    resampled to intervals that are too narrow. A turn of one sample each is the usual bootstrap.

    Args:
        turns: Samples, (R, C).
        percents: Percentiles in [0, 100], Q of them.
        seed: Of the resampling.
        through: Applied to the resamples, (B, R · C), turn after turn, before percentiles are
            taken; returns (B, anything).

    Returns:
        Lower and upper end, (2, Q), at `CONFIDENCE`.

    Source: percentile bootstrap, Efron and Tibshirani 1993, section 13.3; of blocks, Künsch 1989.

    >>> bootstrap_interval(np.array([[1.0], [1.0]]), [50.0]).tolist()
    [[1.0], [1.0]]
    """
    rng = np.random.default_rng(seed)
    picks = rng.integers(len(turns), size=(_RESAMPLES, len(turns)))
    step = max(1, _CHUNK_BYTES // turns.nbytes)
    found = [
        np.percentile(through(turns[some].reshape(len(some), -1)), percents, axis=1)
        for some in (picks[start : start + step] for start in range(0, _RESAMPLES, step))
    ]
    edge = 50 * (1 - CONFIDENCE)
    interval: NDArray[np.float64] = np.percentile(
        np.concatenate(found, axis=1), [edge, 100 - edge], axis=1
    )
    return interval


def summarise(turns: Sequence[Sequence[int]], seed: int = 0) -> Latency:
    """Return the percentiles of samples in ns, R turns of equally many, with intervals.

    >>> summarise([[1_000_000, 3_000_000]]).p50.value_ms
    2.0
    """
    samples = np.array(turns, np.float64) / 1e6
    percents = list(PERCENTS.values())
    values = np.percentile(samples, percents)
    low, high = bootstrap_interval(samples, percents, seed)
    p50, p95, p99, p99_9 = (
        Percentile(*map(float, one)) for one in zip(values, low, high, strict=True)
    )
    return Latency(samples.size, p50, p95, p99, p99_9, float(samples.max()))
