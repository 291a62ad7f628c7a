"""All figures of one set of images, each with its interval.

Axes: N images, K classes, R resamples.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from sihwa.errors import ConfigError, ShapeError
from sihwa.evaluation.arrays import FloatArray, Int64, IntArray, checked_label, checked_probability
from sihwa.evaluation.config import EvaluationConfig
from sihwa.evaluation.confusion import confusion_matrix
from sihwa.evaluation.decided import DecisionFigures, measure_decisions, measure_parts
from sihwa.evaluation.grouped import group_index
from sihwa.evaluation.intervals import Figure
from sihwa.evaluation.probability import ReliabilityBin, reliability_bins
from sihwa.evaluation.rates import Rates
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
    """The figures of an inspector on one set of images: of its top class, and of its decisions."""

    classes: tuple[str, ...]
    """Class names, in the order of the probabilities' columns."""
    accept_classes: tuple[str, ...]
    """Classes of good parts; empty if there are none."""
    count: int
    """Images, N."""
    groups: int | None
    """Groups that the images come from; None if each image is alone."""
    confusion: Int64
    """Counts, (K, K), rows true, columns predicted; read-only."""
    accuracy: Figure
    """Share of images given the right label."""
    balanced_accuracy: Figure
    """Mean recall over the classes that have images."""
    macro_f1: Figure
    """Mean F1 over the classes that occur."""
    expected_calibration_error: Figure
    """Mean gap between stated probability and observed accuracy; 0 is perfect."""
    log_loss: Figure
    """Mean negative log probability of the true class, in nats; 0 is perfect."""
    precision: tuple[Figure, ...]
    """Per class: share of images given this label that belong to it."""
    recall: tuple[Figure, ...]
    """Per class: share of its images given this label."""
    escapes: Figure | None
    """Share of defective images whose top class is an accept class; None without such classes."""
    overkill: Figure | None
    """Share of good images whose top class is no accept class; None without such classes."""
    decisions: DecisionFigures | None
    """Figures of the decisions; None where nothing was decided."""
    error_bound: float
    """Upper bound of the true error rate, one-sided, at the figures' confidence."""
    escape_bound: float | None
    """Upper bound of the true escape rate of the top class; None if escapes are undefined."""
    reliability: tuple[ReliabilityBin, ...]
    """The bins of the reliability diagram that hold images."""
    seed: int
    """Seed of the simulated and resampled intervals."""

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON values: the content of metrics.json."""
        named = {name: getattr(self, name) for name in _FIGURES}
        return {
            "count": self.count,
            "groups": self.groups,
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
            "decisions": self.decisions.as_dict(self.classes) if self.decisions else None,
            "confusion": self.confusion.tolist(),
            "reliability": [asdict(one) for one in self.reliability],
        }


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of the images that an inspector is measured on."""

    label: IntArray
    """True class per image, (N,), each in [0, K)."""
    classes: Sequence[str]
    """K different names."""
    accept_classes: Sequence[str] = ()
    """Classes of good parts; with them escapes and overkill are measured."""
    group: Sequence[str] | None = None
    """Part, lot or other group of each image, (N,); None if all images are independent."""
    groups_are_parts: bool = False
    """Whether each group is one part, so that figures are given per part, too."""


def evaluate(
    probability: FloatArray,
    truth: Truth,
    *,
    outcome: Sequence[str] | None = None,
    config: EvaluationConfig | None = None,
    seed: int = 0,
) -> Evaluation:
    """Measure an inspector on images whose true class is known.

    Rates (accuracy, recall, precision, escapes, overkill) get exact intervals, from
    `intervals.clopper_pearson`. Balanced accuracy and macro F1 get simulated intervals, from
    `intervals.redrawn_interval`; calibration error and log loss get bootstrap intervals.
    Several images of one group are not independent, so with groups all of them are wider:
    `grouped.grouped_interval`, and a bootstrap of groups.

    Args:
        probability: (N, K), rows sum to 1; the predicted class is the largest.
        truth: Labels, classes and groups.
        outcome: Decision of each image, `accept`, `reject` or `review`, (N,); None if nothing was
            decided.
        config: Confidence of the intervals, and R; the defaults if None.
        seed: Seed of the simulated and bootstrap intervals.

    Raises:
        ShapeError: Shapes, lengths or ranges are wrong, or N is 0.
        ConfigError: An accept class is unknown, or no class is left for defects.

    >>> truth = Truth(np.array([0, 1]), ["good", "crack"])
    >>> result = evaluate(np.array([[0.9, 0.1], [0.2, 0.8]]), truth)
    >>> result.accuracy.value, round(result.accuracy.low, 3)
    (1.0, 0.158)
    """
    classes, accept_classes = truth.classes, truth.accept_classes
    stated = checked_probability(probability)
    _check_classes(list(classes), accept_classes, stated.shape[1])
    true = checked_label(truth.label, len(classes), len(stated))
    config = config or EvaluationConfig()
    predicted = stated.argmax(axis=1)
    confusion = confusion_matrix(true, predicted, len(classes))
    confusion.setflags(write=False)
    top, correct = np.minimum(stated.max(axis=1), 1.0), predicted == true
    number = None if truth.group is None else group_index(truth.group)
    if number is not None and number.size != true.size:
        raise ShapeError(f"group must have {true.size} values, but got {number.size}")
    if number is not None and len(np.unique(number)) == true.size:
        number = None
    rates = Rates(number, config.confidence)
    escapes = overkill = None
    if accept_classes:
        accept = np.isin(classes, accept_classes)
        bad, rejected = ~accept[true], ~accept[predicted]
        escapes = rates.figure(~rejected, bad, "no image of a defect")
        overkill = rates.figure(rejected, ~bad, "no image of a good part")
    decisions = None
    if outcome is not None:
        good = np.isin(classes, accept_classes)[true] if accept_classes else None
        decisions = measure_decisions(outcome, true, good, predicted, rates, len(classes))
        if truth.groups_are_parts and truth.group is not None:
            part = group_index(truth.group)
            parts = measure_parts(outcome, good, part, config.confidence)
            decisions = replace(decisions, parts=parts)
    rng = np.random.default_rng(seed)
    sampled = SampledFigures(config.confidence, config.resamples, rng, number)
    every = np.ones(true.size, dtype=np.bool_)
    accuracy = rates.figure(correct, every, "no image")
    kinds = range(len(classes))
    effect = np.array([rates.effect(correct, true == kind) for kind in kinds])
    return Evaluation(
        classes=tuple(classes),
        accept_classes=tuple(accept_classes),
        count=true.size,
        groups=None if number is None else int(number.max()) + 1,
        confusion=confusion,
        accuracy=accuracy,
        balanced_accuracy=sampled.balanced_accuracy(confusion, effect),
        macro_f1=sampled.macro_f1(confusion, effect),
        expected_calibration_error=sampled.calibration_error(top, correct, accuracy),
        log_loss=sampled.log_loss(stated, true, accuracy),
        precision=tuple(rates.figure(correct, predicted == k, "never predicted") for k in kinds),
        recall=tuple(rates.figure(correct, true == kind, "no test image") for kind in kinds),
        escapes=escapes,
        overkill=overkill,
        decisions=decisions,
        error_bound=rates.bound(~correct, every),
        escape_bound=rates.bound(~rejected, bad) if escapes and escapes.count else None,
        reliability=reliability_bins(top, correct),
        seed=seed,
    )


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
