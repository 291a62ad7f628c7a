"""Calibration: how well stated probabilities match observed accuracy, and the temperature.

Axes: N images, K classes, B bins.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize

from sihwa.errors import ShapeError
from sihwa.evaluation.arrays import (
    BoolArray,
    FloatArray,
    IntArray,
    checked_correct,
    checked_label,
    checked_logit,
    checked_probability,
    checked_top_probability,
)

# cells of drawn answers held at once: 32 MiB
CELLS_AT_ONCE = 4_194_304
LOWEST_TEMPERATURE = 0.01
HIGHEST_TEMPERATURE = 100.0
# a probability of 0 for the true class would make the mean infinite
LOWEST_PROBABILITY = 1e-12


@dataclass(frozen=True, kw_only=True, slots=True)
class ReliabilityBin:
    """The images whose top probability falls in (low, high]."""

    low: float
    """Lower edge; only the first bin includes it."""
    high: float
    """Upper edge."""
    count: int
    """Images in the bin, at least 1."""
    confidence: float
    """Their mean stated probability."""
    accuracy: float
    """Their observed accuracy."""

    def as_dict(self) -> dict[str, Any]:
        """Return the bin as JSON values."""
        return asdict(self)


def softmax(logit: FloatArray) -> npt.NDArray[np.float64]:
    """Turn logits into probabilities, in float64.

    Args:
        logit: (N, K), finite.

    Returns:
        Probabilities, (N, K); each row sums to 1.

    Raises:
        ShapeError: Not (N, K) with N >= 1 and K >= 2, or not finite.

    >>> softmax(np.array([[1000.0, 1000.0]])).tolist()
    [[0.5, 0.5]]
    """
    return np.exp(_log_softmax(checked_logit(logit)))


def fit_temperature(logit: FloatArray, label: IntArray) -> float:
    """Find the temperature T for which softmax(logit / T) is calibrated.

    Minimises the mean negative log-likelihood over log T, T in [0.01, 100]. As in Platt
    scaling, labels are smoothed: 1 / (N + 2) of each image's weight goes to the other classes.
    So a calibration set without errors gives probabilities of about 1 - 1 / (N + 2), not of 1.
    With hundreds of images and some errors, smoothing makes no visible difference.

    Args:
        logit: (N, K), finite, of images that the network was not trained on.
        label: True class per image, (N,), each in [0, K).

    Returns:
        T in [0.01, 100]; 1 if all logits of each row are equal.

    Raises:
        ShapeError: Shapes or ranges are wrong, or N is 0.

    Source: Guo et al. 2017, arXiv 1706.04599, section 4.2; Platt 1999, "Probabilistic outputs
    for support vector machines", section 2.2, for the weights.

    >>> always_right = np.array([[30.0, 0.0]] * 98)
    >>> temperature = fit_temperature(always_right, np.zeros(98, dtype=int))
    >>> round(float(softmax(always_right / temperature)[0, 0]), 2)
    0.99
    """
    value = checked_logit(logit)
    true = checked_label(label, value.shape[1], value.shape[0])
    if np.ptp(value, axis=1).max() == 0:
        return 1.0
    target = _smoothed_target(true, value.shape[1])
    fit = optimize.minimize_scalar(
        lambda log_t: -(target * _log_softmax(value / np.exp(log_t))).sum(axis=1).mean(),
        bounds=(np.log(LOWEST_TEMPERATURE), np.log(HIGHEST_TEMPERATURE)),
        method="bounded",
        options={"xatol": 1e-7},
    )
    return float(np.exp(fit.x))


def log_loss(probability: FloatArray, label: IntArray) -> npt.NDArray[np.float64]:
    """Return each image's negative log probability of its true class.

    Args:
        probability: (N, K), rows sum to 1.
        label: True class per image, (N,), each in [0, K).

    Returns:
        Losses in nats, (N,), at most 27.6 (a probability below 1e-12 counts as 1e-12).

    Raises:
        ShapeError: Shapes or ranges are wrong, or N is 0.

    >>> log_loss(np.array([[0.5, 0.5]]), np.array([1])).round(4).tolist()
    [0.6931]
    """
    value = checked_probability(probability)
    true = checked_label(label, value.shape[1], value.shape[0])
    stated = value[np.arange(true.size), true]
    return np.maximum(0.0, -np.log(np.maximum(stated, LOWEST_PROBABILITY)))


def expected_calibration_error(
    probability: FloatArray, correct: BoolArray, *, bin_count: int = 15
) -> float:
    """Measure the gap between stated probability and observed accuracy.

    Images are put into bins of equal width by their top probability; in each bin the mean
    probability is compared with the accuracy.

    Args:
        probability: Top probability per image, (N,), each in [0, 1].
        correct: Whether the top class was the true one, (N,).
        bin_count: B, at least 1.

    Returns:
        Mean absolute gap in [0, 1], each bin weighted by its images; 0 is perfect.

    Raises:
        ShapeError: Lengths differ, N is 0, or a value is out of range.

    Source: Guo et al. 2017, arXiv 1706.04599, eq. 3.

    >>> expected_calibration_error(np.array([0.75, 0.75]), np.array([True, False]), bin_count=1)
    0.25
    """
    gap = calibration_gaps(probability, correct, bin_count=bin_count)
    return float(np.abs(gap.sum(axis=0)).sum() / len(gap))


def calibration_gaps(
    probability: FloatArray, correct: BoolArray, *, bin_count: int
) -> npt.NDArray[np.float64]:
    """Return right (1) or wrong (0) minus probability, each in the column of its bin.

    Args:
        probability: Top probability per image, (N,), each in [0, 1].
        correct: Whether the top class was the true one, (N,).
        bin_count: B, at least 1.

    Returns:
        Gaps in [-1, 1], (N, B), zero outside the image's own bin: the calibration error is
        the sum of the absolute column sums, over N.

    Raises:
        ShapeError: Lengths differ, N is 0, or a value is out of range.
    """
    stated = checked_top_probability(probability)
    right = checked_correct(correct, stated.size)
    gap = np.zeros((stated.size, _checked_bin_count(bin_count)))
    gap[np.arange(stated.size), _bin_of(stated, bin_count)] = right - stated
    return gap


def calibrated_errors(
    probability: FloatArray, *, bin_count: int, draw_count: int, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Draw the calibration errors that a perfectly calibrated inspector would show.

    They are above 0: each answer is right or wrong, never 93 % right.

    Args:
        probability: Top probability per image, (N,), each in [0, 1].
        bin_count: B, at least 1.
        draw_count: R.
        rng: Random generator.

    Returns:
        Expected calibration errors, (R,).

    Raises:
        ShapeError: N is 0, or a value is out of range.

    Source: Bröcker and Smith 2007, "Increasing the reliability of reliability diagrams"
    (consistency resampling).
    """
    stated = checked_top_probability(probability)
    inside = np.zeros((stated.size, _checked_bin_count(bin_count)))
    inside[np.arange(stated.size), _bin_of(stated, bin_count)] = 1
    expected = stated @ inside
    step = max(1, CELLS_AT_ONCE // stated.size)
    parts = [
        (rng.random((min(step, draw_count - start), stated.size)) < stated).astype(float) @ inside
        for start in range(0, draw_count, step)
    ]
    return np.asarray(np.abs(np.concatenate(parts) - expected).sum(axis=1) / stated.size)


def reliability_bins(
    probability: FloatArray, correct: BoolArray, *, bin_count: int = 15
) -> tuple[ReliabilityBin, ...]:
    """Return the non-empty bins of the reliability diagram, lowest first.

    Args:
        probability: Top probability per image, (N,), each in [0, 1].
        correct: Whether the top class was the true one, (N,).
        bin_count: Bins of equal width over [0, 1], at least 1.

    Raises:
        ShapeError: Lengths differ, N is 0, or a value is out of range.

    >>> reliability_bins(np.array([0.9, 0.7]), np.array([True, False]), bin_count=1)[0].accuracy
    0.5
    """
    stated = checked_top_probability(probability)
    right = checked_correct(correct, stated.size)
    edge = np.linspace(0, 1, _checked_bin_count(bin_count) + 1)
    bin_of = _bin_of(stated, bin_count)
    return tuple(
        ReliabilityBin(
            low=float(edge[number]),
            high=float(edge[number + 1]),
            count=int((bin_of == number).sum()),
            confidence=float(stated[bin_of == number].mean()),
            accuracy=float(right[bin_of == number].mean()),
        )
        for number in np.unique(bin_of)
    )


def _bin_of(stated: npt.NDArray[np.float64], bin_count: int) -> npt.NDArray[np.int64]:
    inner_edges = np.linspace(0, 1, bin_count + 1)[1:-1]
    return np.searchsorted(inner_edges, stated, side="left")


def _checked_bin_count(bin_count: int) -> int:
    if bin_count < 1:
        raise ShapeError(f"bin_count must be at least 1, but got {bin_count}")
    return bin_count


def _smoothed_target(label: npt.NDArray[np.int64], class_count: int) -> npt.NDArray[np.float64]:
    doubt = 1 / (label.size + 2)
    target = np.full((label.size, class_count), doubt / (class_count - 1))
    target[np.arange(label.size), label] = 1 - doubt
    return target


def _log_softmax(logit: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    # the largest logit becomes 0, so exp cannot overflow
    shifted = logit - logit.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))
