"""Probabilities: softmax, temperature, log loss, and how well they match observed accuracy.

`softmax`, `fit_temperature` and `log_loss` raise ShapeError where shapes or ranges are wrong.

Axes: N images, K classes, B bins, R draws.
"""

from dataclasses import dataclass

import numpy as np
from scipy import optimize

from sihwa.evaluation.arrays import (
    CELLS_AT_ONCE,
    BoolArray,
    Float64,
    FloatArray,
    Int64,
    IntArray,
    checked_label,
    checked_logit,
    checked_probability,
)

LOWEST_TEMPERATURE = 0.01
HIGHEST_TEMPERATURE = 100.0
# a probability of 0 for the true class would make the mean infinite
LOWEST_PROBABILITY = 1e-12
BIN_COUNT = 15
_EDGES = np.linspace(0, 1, BIN_COUNT + 1)


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


def softmax(logit: FloatArray) -> Float64:
    """Turn logits (N, K), finite, into probabilities (N, K) in float64; each row sums to 1.

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
    doubt = 1 / (true.size + 2)
    target = np.full(value.shape, doubt / (value.shape[1] - 1))
    target[np.arange(true.size), true] = 1 - doubt
    fit = optimize.minimize_scalar(
        lambda log_t: -(target * _log_softmax(value / np.exp(log_t))).sum(axis=1).mean(),
        bounds=(np.log(LOWEST_TEMPERATURE), np.log(HIGHEST_TEMPERATURE)),
        method="bounded",
        options={"xatol": 1e-7},
    )
    return float(np.exp(fit.x))


def log_loss(probability: FloatArray, label: IntArray) -> Float64:
    """Return each image's negative log probability of its true class, in nats, (N,).

    Args:
        probability: (N, K), rows sum to 1; below 1e-12 counts as 1e-12, so a loss is at most 27.6.
        label: True class per image, (N,), each in [0, K).

    >>> log_loss(np.array([[0.5, 0.5]]), np.array([1])).round(4).tolist()
    [0.6931]
    """
    value = checked_probability(probability)
    true = checked_label(label, value.shape[1], value.shape[0])
    stated = value[np.arange(true.size), true]
    return np.maximum(0.0, -np.log(np.maximum(stated, LOWEST_PROBABILITY)))


def calibration_gaps(top: FloatArray, correct: BoolArray) -> Float64:
    """Return right (1) or wrong (0) minus top probability, each in the column of its bin.

    Bins are of equal width over [0, 1]; gaps (N, B) are zero outside the image's own. The expected
    calibration error is the sum of the absolute column sums, over N.

    Source: Guo et al. 2017, arXiv 1706.04599, eq. 3.

    >>> gap = calibration_gaps(np.array([0.75, 0.75]), np.array([True, False]))
    >>> float(np.abs(gap.sum(axis=0)).sum() / 2)
    0.25
    """
    gap = np.zeros((top.size, BIN_COUNT))
    gap[np.arange(top.size), _bin_of(top)] = correct - top
    return gap


def calibrated_errors(top: FloatArray, *, draw_count: int, rng: np.random.Generator) -> Float64:
    """Draw the calibration errors (R,) that a perfectly calibrated inspector would show.

    They are above 0: each answer is right or wrong, never 93 % right.

    Source: Bröcker and Smith 2007, "Increasing the reliability of reliability diagrams"
    (consistency resampling).
    """
    inside = np.zeros((top.size, BIN_COUNT))
    inside[np.arange(top.size), _bin_of(top)] = 1
    expected = top @ inside
    step = max(1, CELLS_AT_ONCE // top.size)
    draws = [
        (rng.random((min(step, draw_count - start), top.size)) < top).astype(float) @ inside
        for start in range(0, draw_count, step)
    ]
    return np.asarray(np.abs(np.concatenate(draws) - expected).sum(axis=1) / top.size)


def reliability_bins(top: FloatArray, correct: BoolArray) -> tuple[ReliabilityBin, ...]:
    """Return the non-empty bins of the reliability diagram, lowest first.

    Args:
        top: Top probability per image, (N,), each in [0, 1].
        correct: Whether the top class was the true one, (N,).

    >>> reliability_bins(np.array([0.97, 0.95]), np.array([True, False]))[0].accuracy
    0.5
    """
    bin_of = _bin_of(top)
    return tuple(
        ReliabilityBin(
            low=float(_EDGES[number]),
            high=float(_EDGES[number + 1]),
            count=int((bin_of == number).sum()),
            confidence=float(top[bin_of == number].mean()),
            accuracy=float(correct[bin_of == number].mean()),
        )
        for number in np.unique(bin_of)
    )


def _bin_of(top: FloatArray) -> Int64:
    return np.searchsorted(_EDGES[1:-1], top, side="left")


def _log_softmax(logit: Float64) -> Float64:
    # the largest logit becomes 0, so exp cannot overflow
    shifted = logit - logit.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))
