"""All figures of one set of images, each with its interval.

Axes: N images, K classes, R resamples.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from sihwa.errors import ConfigError, ShapeError
from sihwa.evaluation.arrays import FloatArray, Int64, IntArray, checked_label, checked_probability
from sihwa.evaluation.config import EvaluationConfig
from sihwa.evaluation.confusion import confusion_matrix
from sihwa.evaluation.intervals import EXACT, Figure, clopper_pearson, upper_bound
from sihwa.evaluation.probability import ReliabilityBin, reliability_bins
from sihwa.evaluation.sampled import SampledFigures

_FIGURES = (
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "escapes",
    "overkill",
    "expected_calibration_error",
    "log_loss",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """The figures of an inspector's top class on one set of images."""

    classes: tuple[str, ...]
    """Class names, in the order of the probabilities' columns."""
    accept_classes: tuple[str, ...]
    """Classes of good parts; empty if there are none."""
    count: int
    """Images, N."""
    confusion: Int64
    """Counts, (K, K), rows true, columns predicted; read-only."""
    accuracy: Figure
    """Share of images given the right label; exact interval."""
    balanced_accuracy: Figure
    """Mean recall over the classes that have images."""
    macro_f1: Figure
    """Mean F1 over the classes that occur."""
    expected_calibration_error: Figure
    """Mean gap between stated probability and observed accuracy; 0 is perfect."""
    log_loss: Figure
    """Mean negative log probability of the true class, in nats; 0 is perfect."""
    precision: tuple[Figure, ...]
    """Per class: share of images given this label that belong to it; exact intervals."""
    recall: tuple[Figure, ...]
    """Per class: share of its images given this label; exact intervals."""
    escapes: Figure | None
    """Share of defective images accepted; None without accept classes."""
    overkill: Figure | None
    """Share of good images rejected; None without accept classes."""
    error_bound: float
    """Upper bound of the true error rate, one-sided, at the figures' confidence."""
    escape_bound: float | None
    """Upper bound of the true escape rate; None if escapes are undefined."""
    reliability: tuple[ReliabilityBin, ...]
    """The bins of the reliability diagram that hold images."""
    seed: int
    """Seed of the simulated and resampled intervals."""

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON values: the content of metrics.json."""
        named = {name: getattr(self, name) for name in _FIGURES}
        return {
            "count": self.count,
            "seed": self.seed,
            "classes": list(self.classes),
            "accept_classes": list(self.accept_classes),
            "error_bound": self.error_bound,
            "escape_bound": self.escape_bound,
            "figures": {name: asdict(figure) for name, figure in named.items() if figure},
            "per_class": [
                {"class": name, "recall": asdict(found), "precision": asdict(true)}
                for name, found, true in zip(self.classes, self.recall, self.precision, strict=True)
            ],
            "confusion": self.confusion.tolist(),
            "reliability": [asdict(one) for one in self.reliability],
        }


def evaluate(
    probability: FloatArray,
    label: IntArray,
    classes: Sequence[str],
    *,
    accept_classes: Sequence[str] = (),
    config: EvaluationConfig | None = None,
    seed: int = 0,
) -> Evaluation:
    """Measure an inspector on images whose true class is known.

    Rates (accuracy, recall, precision, escapes, overkill) get exact intervals, from
    `intervals.clopper_pearson`. Balanced accuracy and macro F1 get simulated intervals, from
    `intervals.redrawn_interval`; calibration error and log loss get bootstrap intervals.

    Args:
        probability: (N, K), rows sum to 1; the predicted class is the largest.
        label: True class per image, (N,), each in [0, K).
        classes: K different names.
        accept_classes: Classes of good parts; with them escapes and overkill are measured.
        config: Confidence of the intervals, and R; the defaults if None.
        seed: Seed of the simulated and bootstrap intervals.

    Raises:
        ShapeError: Shapes, lengths or ranges are wrong, or N is 0.
        ConfigError: An accept class is unknown, or no class is left for defects.

    >>> result = evaluate(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 1]), ["good", "crack"])
    >>> result.accuracy.value, round(result.accuracy.low, 3)
    (1.0, 0.158)
    """
    stated = checked_probability(probability)
    _check_classes(list(classes), accept_classes, stated.shape[1])
    true = checked_label(label, len(classes), len(stated))
    config = config or EvaluationConfig()
    predicted = stated.argmax(axis=1)
    confusion = confusion_matrix(true, predicted, len(classes))
    confusion.setflags(write=False)
    top, correct = np.minimum(stated.max(axis=1), 1.0), predicted == true
    rate = partial(_exact_rate, confidence=config.confidence)
    found, per_class, per_prediction = np.diagonal(confusion), confusion.sum(1), confusion.sum(0)
    accuracy = rate(correct.sum(), true.size, "no image")
    escapes = overkill = None
    if accept_classes:
        accept = np.isin(classes, accept_classes)
        bad, good = confusion[~accept], confusion[accept]
        escapes = rate(bad[:, accept].sum(), bad.sum(), "no image of a defect")
        overkill = rate(good[:, ~accept].sum(), good.sum(), "no image of a good part")
    sampled = SampledFigures(config.confidence, config.resamples, np.random.default_rng(seed))
    return Evaluation(
        classes=tuple(classes),
        accept_classes=tuple(accept_classes),
        count=true.size,
        confusion=confusion,
        accuracy=accuracy,
        balanced_accuracy=sampled.balanced_accuracy(confusion),
        macro_f1=sampled.macro_f1(confusion),
        expected_calibration_error=sampled.calibration_error(top, correct, accuracy),
        log_loss=sampled.log_loss(stated, true),
        precision=tuple(map(partial(rate, reason="never predicted"), found, per_prediction)),
        recall=tuple(map(partial(rate, reason="no image"), found, per_class)),
        escapes=escapes,
        overkill=overkill,
        error_bound=upper_bound(int((~correct).sum()), true.size, config.confidence),
        escape_bound=_bound(escapes),
        reliability=reliability_bins(top, correct),
        seed=seed,
    )


def _exact_rate(occurrences: int, trials: int, reason: str, *, confidence: float) -> Figure:
    """Return a rate with its exact interval, or the reason why it is undefined."""
    occurrences, trials = int(occurrences), int(trials)
    figure = partial(Figure, method=EXACT, confidence=confidence, count=trials)
    if trials == 0:
        return figure(value=None, low=None, high=None, reason=reason)
    low, high = clopper_pearson(occurrences, trials, confidence)
    return figure(value=occurrences / trials, low=low, high=high, occurrences=occurrences)


def _bound(figure: Figure | None) -> float | None:
    if figure is None or figure.occurrences is None:
        return None
    return upper_bound(figure.occurrences, figure.count, figure.confidence)


def _check_classes(classes: list[str], accept_classes: Sequence[str], count: int) -> None:
    if len(classes) != count or len(set(classes)) != len(classes):
        raise ShapeError(
            f"classes must be {count} different names, one per column of probability, "
            f"but got {classes}"
        )
    if unknown := [name for name in accept_classes if name not in classes]:
        raise ConfigError(f"accept_classes must be among {classes}, but got {unknown}")
    if set(accept_classes) == set(classes):
        raise ConfigError(
            f"accept_classes must leave at least one class of defects, but got all: {classes}"
        )
