import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from sihwa.errors import ConfigError, ShapeError
from sihwa.evaluation import (
    EvaluationConfig,
    Truth,
    clopper_pearson,
    evaluate,
    softmax,
    upper_bound,
)

CLASSES = ("good", "crack", "dent")


def drawn(count: int = 120, seed: int = 0, gap: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, size=count)
    logit = rng.normal(size=(count, 3))
    logit[np.arange(count), label] += gap
    return softmax(logit), label


def sure(predicted: list[int]) -> np.ndarray:
    """Probabilities 0.9 / 0.05 / 0.05 with the largest at `predicted`."""
    probability = np.full((len(predicted), 3), 0.05)
    probability[np.arange(len(predicted)), predicted] = 0.9
    return probability


def test_evaluate_equals_figures_counted_by_hand() -> None:
    # good: 3 of 4 found, 1 rejected; defects: 1 of 4 accepted; crack never predicted as dent.
    label = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    result = evaluate(
        sure([0, 0, 0, 1, 1, 0, 2, 1]), Truth(label, CLASSES, accept_classes=["good"])
    )
    assert result.confusion.tolist() == [[3, 1, 0], [1, 1, 0], [0, 1, 1]]
    assert result.accuracy.value == 5 / 8
    assert [figure.value for figure in result.recall] == [3 / 4, 1 / 2, 1 / 2]
    assert [figure.value for figure in result.precision] == [3 / 4, 1 / 3, 1.0]
    assert [figure.count for figure in result.precision] == [4, 3, 1]
    assert result.balanced_accuracy.value == pytest.approx(7 / 12)
    assert result.macro_f1.value == pytest.approx((3 / 4 + 2 / 5 + 2 / 3) / 3)
    assert result.expected_calibration_error.value == pytest.approx(0.9 - 5 / 8)
    assert result.escapes is not None
    assert result.overkill is not None
    assert (result.escapes.occurrences, result.escapes.count) == (1, 4)
    assert (result.overkill.occurrences, result.overkill.count) == (1, 4)
    assert (result.escapes.low, result.escapes.high) == clopper_pearson(1, 4)
    assert result.escape_bound == upper_bound(1, 4)
    assert result.error_bound == upper_bound(3, 8)


def test_evaluate_mistake_among_defects_is_no_escape() -> None:
    result = evaluate(sure([2, 1]), Truth(np.array([1, 2]), CLASSES, accept_classes=["good"]))
    assert result.escapes is not None
    assert result.overkill is not None
    assert result.escapes.occurrences == 0
    assert result.overkill.value is None
    assert result.overkill.reason == "no image of a good part"


def test_evaluate_no_error_claims_no_certainty() -> None:
    label = np.repeat([0, 1, 2], 120)
    probability = np.full((360, 3), 0.0005)
    probability[np.arange(360), label] = 0.999
    result = evaluate(probability, Truth(label, CLASSES))
    assert result.error_bound == pytest.approx(0.0083, abs=1e-4)
    for figure in (result.accuracy, result.balanced_accuracy, result.macro_f1):
        assert figure.value == figure.high == 1.0
        assert figure.low == pytest.approx(0.9898, abs=2e-3)
    error = result.expected_calibration_error
    assert error.value == pytest.approx(0.001)
    # the accuracy may be as low as this; a plain bootstrap gives 0.001 – 0.001
    assert error.high == pytest.approx(0.999 - clopper_pearson(360, 360)[0])


def test_evaluate_calibrated_images_mostly_allow_zero_error() -> None:
    allowed = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        probability = softmax(rng.normal(size=(360, 3)) * 2)
        label = (probability.cumsum(axis=1) < rng.random((360, 1))).sum(axis=1).clip(0, 2)
        error = evaluate(
            probability, Truth(label, CLASSES), config=EvaluationConfig(resamples=200)
        ).expected_calibration_error
        allowed += error.low == 0.0
    assert allowed >= 36  # 0.95 of 40, less one standard error and a half; a bootstrap has half


def test_evaluate_images_of_one_group_count_less() -> None:
    rng = np.random.default_rng(4)
    label = np.repeat(rng.integers(0, 3, 60), 6)
    predicted = np.where(np.repeat(rng.random(60) < 0.8, 6), label, (label + 1) % 3)
    probability, group = sure(predicted.tolist()), [f"part {row // 6}" for row in range(360)]
    one = evaluate(probability, Truth(label, CLASSES, accept_classes=["good"]))
    several = evaluate(probability, Truth(label, CLASSES, accept_classes=["good"], group=group))
    assert (one.groups, several.groups) == (None, 60)
    assert several.error_bound > one.error_bound
    assert (several.escape_bound or 0) > (one.escape_bound or 1)
    alone, grouped = one.as_dict()["figures"], several.as_dict()["figures"]
    for name, figure in alone.items():
        assert grouped[name]["value"] == pytest.approx(figure["value"], abs=1e-12)
        width, own = (g["high"] - g["low"] for g in (grouped[name], figure))
        assert width > 1.5 * own, name
    # a group for each image changes nothing
    alike = evaluate(
        probability,
        Truth(label, CLASSES, accept_classes=["good"], group=list(map(str, range(360)))),
    )
    assert alike.as_dict() == one.as_dict()


def test_evaluate_class_never_seen_is_null_with_a_reason() -> None:
    result = evaluate(sure([0, 1]), Truth(np.array([0, 1]), CLASSES))
    assert result.recall[2].reason == "no test image"
    assert result.precision[2].reason == "never predicted"
    assert result.as_dict()["per_class"][2]["recall"]["value"] is None
    assert result.macro_f1.value == 1.0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=30))
def test_evaluate_any_answers_equal_scikit_learn_within_their_intervals(
    answers: list[tuple[int, int]],
) -> None:
    label, predicted = np.array(answers).T
    result = evaluate(
        sure(list(predicted)),
        Truth(label, CLASSES, accept_classes=["good"]),
        config=EvaluationConfig(resamples=100),
    )
    content = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    for figure in content["figures"].values():
        if figure["value"] is not None:
            assert figure["low"] <= figure["value"] <= figure["high"]
    assert sum(map(sum, content["confusion"])) == content["count"] == len(answers)
    assert result.accuracy.value == pytest.approx(metrics.accuracy_score(label, predicted))
    for ours, theirs in (
        (result.precision, metrics.precision_score),
        (result.recall, metrics.recall_score),
    ):
        expected = theirs(label, predicted, labels=range(3), average=None, zero_division=np.nan)
        np.testing.assert_allclose([figure.value or 0 for figure in ours], np.nan_to_num(expected))


def test_evaluate_same_seed_gives_the_same_and_another_seed_nearly() -> None:
    probability, label = drawn()
    first = evaluate(probability, Truth(label, CLASSES)).as_dict()
    assert evaluate(probability, Truth(label, CLASSES)).as_dict() == first
    other = evaluate(probability, Truth(label, CLASSES), seed=1).as_dict()["figures"]["macro_f1"]
    assert other["low"] != first["figures"]["macro_f1"]["low"]
    assert other["low"] == pytest.approx(first["figures"]["macro_f1"]["low"], abs=0.02)


def test_evaluate_higher_confidence_widens_every_interval() -> None:
    probability, label = drawn()
    narrow = evaluate(probability, Truth(label, CLASSES), config=EvaluationConfig(confidence=0.8))
    wide = evaluate(probability, Truth(label, CLASSES), config=EvaluationConfig(confidence=0.99))
    for name, figure in wide.as_dict()["figures"].items():
        inner = narrow.as_dict()["figures"][name]
        assert figure["low"] <= inner["low"] <= inner["high"] <= figure["high"]
        assert figure["confidence"] == 0.99


@pytest.mark.parametrize(
    ("probability", "label", "match"),
    [
        pytest.param(np.zeros((0, 3)), [], r"at least 1 image.*got shape \(0, 3\)", id="none"),
        pytest.param([0.5, 0.5], [0], r"must be \(N, K\).*got shape \(2,\)", id="one axis"),
        pytest.param([[1.0]], [0], r"2 classes, but got shape \(1, 1\)", id="one class"),
        pytest.param([[0.5, 0.4, 0]], [0], r"sum to 1 .*got \[0\.5, 0\.4, 0\] in row 0", id="sum"),
        pytest.param([[1.5, -0.5, 0]], [0], r"in \[0, 1\], but got \[1\.5", id="range"),
        pytest.param([[np.nan, 1, 0]], [0], "must be finite, but got", id="nan"),
        pytest.param([[0.5, 0.5, 0]], [0, 1], r"one entry per image \(1\), but got 2", id="two"),
        pytest.param([[0.5, 0.5]], [0], "classes must be 2 different names", id="names"),
    ],
)
def test_evaluate_bad_arrays_are_refused(
    probability: list[list[float]], label: list[int], match: str
) -> None:
    with pytest.raises(ShapeError, match=match):
        evaluate(np.array(probability), Truth(np.array(label), CLASSES))


def test_evaluate_sum_within_a_thousandth_is_accepted() -> None:
    assert evaluate(np.array([[0.9996, 0.0, 0.0009]]), Truth(np.array([0]), CLASSES)).count == 1


def test_evaluate_bad_accept_classes_are_refused() -> None:
    probability, label = drawn()
    with pytest.raises(ConfigError, match=r"among \['good', 'crack', 'dent'\], but got \['ok'\]"):
        evaluate(probability, Truth(label, CLASSES, accept_classes=["ok"]))
    with pytest.raises(ConfigError, match="at least one class of defects"):
        evaluate(probability, Truth(label, CLASSES, accept_classes=CLASSES))
