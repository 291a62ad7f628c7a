"""All figures of one set of images, each with its interval.

Axes: N images, K classes, R resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from sihwa.errors import ConfigError, ShapeError
from sihwa.evaluation.arrays import (
    BoolArray,
    FloatArray,
    IntArray,
    checked_label,
    checked_probability,
)
from sihwa.evaluation.calibration import ReliabilityBin, reliability_bins
from sihwa.evaluation.confusion import confusion_matrix
from sihwa.evaluation.figure import Figure
from sihwa.evaluation.intervals import EXACT, check_confidence, clopper_pearson, upper_bound
from sihwa.evaluation.sampled import BIN_COUNT, SampledFigures


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """What one inspector did on one set of images, judged by its top class."""

    classes: tuple[str, ...]
    """Class names, in the order of the columns of the probabilities."""
    accept_classes: tuple[str, ...]
    """The classes of good parts; empty where good and defective are not told apart."""
    count: int
    """Images, N."""
    confusion: npt.NDArray[np.int64]
    """Counts, (K, K), rows true, columns predicted; read-only."""
    accuracy: Figure
    """Share of the images named right."""
    balanced_accuracy: Figure
    """Mean recall over the classes that have images."""
    macro_f1: Figure
    """Mean F1 over the classes that occur."""
    expected_calibration_error: Figure
    """Mean gap between stated probability and what came true; 0 is perfect."""
    log_loss: Figure
    """Mean negative log probability of the true class, in nats; 0 is perfect."""
    precision: tuple[Figure, ...]
    """Per class: share of the images given its name that are of it."""
    recall: tuple[Figure, ...]
    """Per class: share of its images that were found."""
    escapes: Figure | None
    """Share of the defective images that were accepted; None without accept classes."""
    overkill: Figure | None
    """Share of the good images that were rejected; None without accept classes."""
    error_bound: float
    """The most the true error rate can be: one-sided, at the figures' confidence."""
    escape_bound: float | None
    """The same for the escape rate; None where escapes are not measured."""
    reliability: tuple[ReliabilityBin, ...]
    """The bins of the reliability diagram that hold images."""
    seed: int
    """Seed of the simulated and resampled intervals."""

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON values: the content of metrics.json."""
        named = {name: getattr(self, name) for name in FIGURE_NAMES}
        return {
            "count": self.count,
            "seed": self.seed,
            "classes": list(self.classes),
            "accept_classes": list(self.accept_classes),
            "error_bound": self.error_bound,
            "escape_bound": self.escape_bound,
            "figures": {name: figure.as_dict() for name, figure in named.items() if figure},
            "per_class": [
                {"class": name, "recall": found.as_dict(), "precision": true.as_dict()}
                for name, found, true in zip(self.classes, self.recall, self.precision, strict=True)
            ],
            "confusion": self.confusion.tolist(),
            "reliability": [one.as_dict() for one in self.reliability],
        }


FIGURE_NAMES = (
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "escapes",
    "overkill",
    "expected_calibration_error",
    "log_loss",
)


def evaluate(
    probability: FloatArray,
    label: IntArray,
    classes: Sequence[str],
    *,
    accept_classes: Sequence[str] = (),
    confidence: float = 0.95,
    resample_count: int = 2000,
    seed: int = 0,
) -> Evaluation:
    """Measure an inspector on images whose true class is known.

    Args:
        probability: (N, K), rows sum to 1; the decision is the largest.
        label: True class per image, (N,), each in [0, K).
        classes: K different names.
        accept_classes: Those of good parts; adds escapes and overkill.
        confidence: Of every interval, two-sided, in (0, 1).
        resample_count: R, at least 100; what is not exact is simulated this many times.
        seed: Makes the simulated intervals repeatable.

    Returns:
        Every figure with its interval.

    Raises:
        ShapeError: Shapes, lengths or ranges are wrong, or N is 0.
        ConfigError: An accept class is unknown, or no class is left for defects.

    >>> result = evaluate(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 1]), ["good", "crack"])
    >>> result.accuracy.value, round(result.accuracy.low, 3)
    (1.0, 0.158)
    """
    stated, true, names = _checked(probability, label, classes, confidence, resample_count)
    accept = _checked_accept(accept_classes, names)
    predicted = stated.argmax(axis=1)
    confusion = confusion_matrix(true, predicted, len(names))
    confusion.setflags(write=False)
    rate = partial(_rate, confidence=confidence)
    right, found = int((predicted == true).sum()), np.diagonal(confusion)
    overall = rate(right, true.size, "no image")
    escapes, overkill = _quality_figures(confusion, accept, confidence)
    sampled = SampledFigures(confidence, resample_count, np.random.default_rng(seed))
    top, correct = np.minimum(stated.max(axis=1), 1.0), predicted == true
    return Evaluation(
        classes=names,
        accept_classes=tuple(accept_classes),
        count=true.size,
        confusion=confusion,
        accuracy=overall,
        balanced_accuracy=sampled.balanced_accuracy(confusion),
        macro_f1=sampled.macro_f1(confusion),
        expected_calibration_error=sampled.calibration_error(top, correct, overall),
        log_loss=sampled.log_loss(stated, true),
        precision=tuple(map(partial(rate, reason="never predicted"), found, confusion.sum(0))),
        recall=tuple(map(partial(rate, reason="no image of it"), found, confusion.sum(1))),
        escapes=escapes,
        overkill=overkill,
        error_bound=upper_bound(true.size - right, true.size, confidence),
        escape_bound=_bound(escapes),
        reliability=reliability_bins(top, correct, bin_count=BIN_COUNT),
        seed=seed,
    )


def _rate(occurrences: int, trials: int, reason: str, *, confidence: float) -> Figure:
    figure = partial(Figure, method=EXACT, confidence=confidence, count=int(trials))
    if trials == 0:
        return figure(value=None, low=None, high=None, reason=reason)
    low, high = clopper_pearson(int(occurrences), int(trials), confidence)
    value = float(occurrences / trials)
    return figure(value=value, low=low, high=high, occurrences=int(occurrences))


def _quality_figures(
    confusion: npt.NDArray[np.int64], accept: BoolArray, confidence: float
) -> tuple[Figure | None, Figure | None]:
    if not accept.any():
        return None, None
    defective, good = confusion[~accept], confusion[accept]
    escapes = _rate(
        int(defective[:, accept].sum()),
        int(defective.sum()),
        "no image of a defect",
        confidence=confidence,
    )
    overkill = _rate(
        int(good[:, ~accept].sum()),
        int(good.sum()),
        "no image of a good part",
        confidence=confidence,
    )
    return escapes, overkill


def _bound(figure: Figure | None) -> float | None:
    if figure is None or figure.occurrences is None:
        return None
    return upper_bound(figure.occurrences, figure.count, figure.confidence)


def _checked(
    probability: FloatArray,
    label: IntArray,
    classes: Sequence[str],
    confidence: float,
    resample_count: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], tuple[str, ...]]:
    stated = checked_probability(probability)
    names = tuple(classes)
    if len(names) != stated.shape[1] or len(set(names)) != len(names):
        raise ShapeError(
            f"classes must be {stated.shape[1]} different names, "
            f"one per column of probability, but got {list(names)}"
        )
    check_confidence(confidence)
    if resample_count < 100:
        raise ShapeError(f"resample_count must be at least 100, but got {resample_count}")
    return stated, checked_label(label, len(names), len(stated)), names


def _checked_accept(accept_classes: Sequence[str], classes: tuple[str, ...]) -> BoolArray:
    unknown = [name for name in accept_classes if name not in classes]
    if unknown:
        raise ConfigError(f"accept_classes must be among {list(classes)}, but got {unknown}")
    accept = np.array([name in accept_classes for name in classes])
    if accept.all():
        raise ConfigError(
            f"accept_classes must leave at least one class of defects, but got all: {list(classes)}"
        )
    return accept
