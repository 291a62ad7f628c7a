"""The figures with simulated or bootstrap intervals.

Axes: N images, K classes, B bins, R resamples.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from sihwa.evaluation.arrays import BoolArray, Float64, FloatArray, Int64, IntArray
from sihwa.evaluation.confusion import balanced_accuracy, macro_f1
from sihwa.evaluation.intervals import Figure, bootstrap_sums, redrawn_interval
from sihwa.evaluation.probability import calibrated_errors, calibration_gaps, log_loss


@dataclass(frozen=True)
class SampledFigures:
    """Computes figures with intervals from one random generator, so the order matters."""

    confidence: float
    """Two-sided, in (0, 1)."""
    resample_count: int
    rng: np.random.Generator

    def balanced_accuracy(self, confusion: Int64) -> Figure:
        """Return the mean recall; `confusion` holds counts, (K, K), rows true."""
        return self._redrawn(confusion, balanced_accuracy)

    def macro_f1(self, confusion: Int64) -> Figure:
        """Return the mean F1; `confusion` holds counts, (K, K), rows true."""
        # a class that never occurs is left out of the mean in every draw too
        counted = confusion.sum(0) + confusion.sum(1) > 0
        return self._redrawn(confusion, partial(macro_f1, counted=counted))

    def calibration_error(self, top: FloatArray, correct: BoolArray, accuracy: Figure) -> Figure:
        """Return the expected calibration error.

        Its interval is a basic bootstrap (quantiles reflected about the value, because
        resampling inflates the error), widened twice: down to 0 if a perfectly calibrated
        inspector could show this value, and up to the gap between mean probability and either
        end of the accuracy's interval, which resamples of right answers alone never reach.
        """
        gap = calibration_gaps(top, correct)
        value = float(np.abs(gap.sum(axis=0)).sum() / len(gap))
        resampled = np.abs(self._sums(gap)).sum(axis=1) / len(gap)
        high, low = 2 * value - self._ends(resampled)
        calibrated = calibrated_errors(top, draw_count=self.resample_count, rng=self.rng)
        if value <= self._ends(calibrated)[1]:
            low = 0.0
        ends = (accuracy.low or 0.0, accuracy.high or 0.0)
        reach = max(abs(float(top.mean()) - end) for end in ends)
        method = f"bootstrap (basic, {self.resample_count} resamples, widened)"
        return self._figure(value, max(0.0, low), min(1.0, max(high, reach)), method, len(gap))

    def log_loss(self, probability: FloatArray, label: IntArray) -> Figure:
        """Return the mean negative log probability; `probability` (N, K), `label` (N,)."""
        loss = log_loss(probability, label)
        low, high = self._ends(self._sums(loss[:, None])[:, 0] / loss.size)
        method = f"bootstrap (percentile, {self.resample_count} resamples)"
        return self._figure(float(loss.mean()), low, high, method, loss.size)

    def _redrawn(self, confusion: Int64, metric: Callable[[Float64], Float64]) -> Figure:
        low, high = redrawn_interval(
            confusion,
            metric,
            confidence=self.confidence,
            draw_count=self.resample_count,
            rng=self.rng,
        )
        value = float(metric(confusion.astype(np.float64)))
        method = f"simulated (Dirichlet rows, {self.resample_count} draws)"
        return self._figure(value, low, high, method, int(confusion.sum()))

    def _sums(self, value: Float64) -> Float64:
        return bootstrap_sums(value, resample_count=self.resample_count, rng=self.rng)

    def _ends(self, resampled: Float64) -> Float64:
        tail = (1 - self.confidence) / 2
        return np.quantile(resampled, [tail, 1 - tail])

    def _figure(self, value: float, low: float, high: float, method: str, count: int) -> Figure:
        return Figure(
            value=value,
            low=float(min(low, value)),
            high=float(max(high, value)),
            method=method,
            confidence=self.confidence,
            count=count,
        )
