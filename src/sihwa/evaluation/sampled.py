"""The figures with simulated or bootstrap intervals.

Axes: N images, K classes, B bins, R resamples.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import stats

from sihwa.evaluation.arrays import BoolArray, Float64, FloatArray, Int64, IntArray
from sihwa.evaluation.confusion import balanced_accuracy, macro_f1
from sihwa.evaluation.grouped import design_effect
from sihwa.evaluation.intervals import Figure, bootstrap_sums, redrawn_interval
from sihwa.evaluation.probability import (
    LOWEST_PROBABILITY,
    calibrated_errors,
    calibration_gaps,
    log_loss,
)


@dataclass(frozen=True)
class SampledFigures:
    """Computes figures with intervals from one random generator, so the order matters."""

    confidence: float
    """Two-sided, in (0, 1)."""
    resample_count: int
    rng: np.random.Generator
    group: IntArray | None = None
    """Number of each image's group, (N,); None if all images are independent."""

    def balanced_accuracy(self, confusion: Int64, effect: Float64) -> Figure:
        """Return the mean recall.

        Args:
            confusion: Counts, (K, K), rows true.
            effect: How many images of each class carry the evidence of one, (K,), at least 1.
        """
        return self._redrawn(confusion, effect, balanced_accuracy)

    def macro_f1(self, confusion: Int64, effect: Float64) -> Figure:
        """Return the mean F1; see `balanced_accuracy`."""
        # a class that never occurs is left out of the mean in every draw too
        counted = confusion.sum(0) + confusion.sum(1) > 0
        return self._redrawn(confusion, effect, partial(macro_f1, counted=counted))

    def calibration_error(self, top: FloatArray, correct: BoolArray, accuracy: Figure) -> Figure:
        """Return the expected calibration error.

        Its interval is a basic bootstrap (quantiles reflected about the value, because
        resampling inflates the error), widened twice: down to 0 if a perfectly calibrated
        inspector could show this value, and up to the gap between mean probability and either
        end of the accuracy's interval, which resamples of right answers alone never reach.
        """
        gap = calibration_gaps(top, correct)
        value = float(np.abs(gap.sum(axis=0)).sum() / len(gap))
        resampled = np.abs(self._means(gap)).sum(axis=1)
        high, low = 2 * value - self._ends(resampled)
        calibrated = calibrated_errors(top, draw_count=self.resample_count, rng=self.rng)
        if self.group is not None:
            calibrated *= math.sqrt(design_effect(correct, self.group))
        if value <= self._ends(calibrated)[1]:
            low = 0.0
        ends = (accuracy.low or 0.0, accuracy.high or 0.0)
        reach = max(abs(float(top.mean()) - end) for end in ends)
        method = f"bootstrap (basic, {self._resamples}, widened)"
        return self._figure(value, max(0.0, low), min(1.0, max(high, reach)), method, len(gap))

    def log_loss(self, probability: FloatArray, label: IntArray, accuracy: Figure) -> Figure:
        """Return the mean negative log probability; `probability` (N, K), `label` (N,).

        Few groups may show no error at all, and a bootstrap never draws one. So with groups the
        interval reaches the loss at either end of the accuracy's interval.
        """
        loss = log_loss(probability, label)
        low, high = self._ends(self._means(loss[:, None])[:, 0])
        method = f"bootstrap (percentile, {self._resamples})"
        if self.group is not None:
            correct = probability.argmax(axis=1) == label
            if correct.all():  # what an error would cost: the rest is shared by the other classes
                rest = (1 - probability.max(axis=1)) / (probability.shape[1] - 1)
                wrong = float(-np.log(np.maximum(rest, LOWEST_PROBABILITY)).mean())
            else:
                wrong = float(loss[~correct].mean())
            right = float(loss[correct].mean()) if correct.any() else 0.0
            ends = (accuracy.low or 0.0, accuracy.high or 0.0)
            reached = [end * right + (1 - end) * wrong for end in ends]
            low, high = min(low, *reached), max(high, *reached)
            method = f"bootstrap (percentile, {self._resamples}, widened)"
        return self._figure(float(loss.mean()), low, high, method, loss.size)

    def _redrawn(
        self, confusion: Int64, effect: Float64, metric: Callable[[Float64], Float64]
    ) -> Figure:
        low, high = redrawn_interval(
            confusion,
            metric,
            effect=effect,
            confidence=self.confidence,
            draw_count=self.resample_count,
            rng=self.rng,
        )
        value = float(metric(confusion.astype(np.float64)))
        method = f"simulated (Dirichlet rows, {self.resample_count} draws)"
        return self._figure(value, low, high, method, int(confusion.sum()))

    @property
    def _resamples(self) -> str:
        return f"{self.resample_count} resamples" + (" of groups" if self.group is not None else "")

    def _means(self, value: Float64) -> Float64:
        """Return the column means (R, M) of `value` (N, M) over resampled images or groups."""
        count, rng = self.resample_count, self.rng
        if self.group is None:
            return bootstrap_sums(value, resample_count=count, rng=rng) / len(value)
        per_group = np.zeros((int(self.group.max()) + 1, value.shape[1] + 1))
        np.add.at(per_group, self.group, np.column_stack([value, np.ones(len(value))]))
        sums = bootstrap_sums(per_group, resample_count=count, rng=rng)
        return np.asarray(sums[:, :-1] / sums[:, -1:])

    def _ends(self, resampled: Float64) -> Float64:
        tail = (1 - self.confidence) / 2
        if self.group is not None:
            # few groups vary less among themselves than they do about the truth: Hesterberg 2015,
            # "What teachers should know about the bootstrap", for the expanded percentiles
            groups = int(self.group.max()) + 1
            wide = math.sqrt(groups / max(groups - 1, 1)) * stats.t.ppf(tail, max(groups - 1, 1))
            tail = float(stats.norm.cdf(wide))
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
