import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special
from sklearn import metrics

from sihwa.errors import ShapeError
from sihwa.evaluation import (
    expected_calibration_error,
    fit_temperature,
    log_loss,
    reliability_bins,
    softmax,
)


def drawn(count: int, temperature: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose true temperature is known: labels come from softmax(logit / temperature)."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(size=(count, 4)) * 4
    share = special.softmax(logit / temperature, axis=1).cumsum(axis=1)
    return logit, (share < rng.random((count, 1))).sum(axis=1).clip(0, 3)


def test_softmax_float16_and_large_logits_equals_scipy() -> None:
    logit = np.array([[1e4, -1e4, 9990], [0, 1, 2]], dtype=np.float16)
    expected = special.softmax(logit.astype(np.float64), axis=1)
    np.testing.assert_allclose(softmax(logit), expected, atol=1e-15)


def test_softmax_infinite_logit_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"logit must be finite, but got \[0, inf\] in row 1"):
        softmax(np.array([[0.0, 0.0], [0.0, np.inf]]))


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_fit_temperature_drawn_labels_finds_their_temperature(temperature: float) -> None:
    logit, label = drawn(20_000, temperature)
    assert fit_temperature(logit, label) == pytest.approx(temperature, rel=0.05)


def test_fit_temperature_any_set_lowers_the_loss() -> None:
    logit, label = drawn(500, 3.0)
    fitted = fit_temperature(logit, label)
    before = metrics.log_loss(label, softmax(logit))
    assert metrics.log_loss(label, softmax(logit / fitted)) < before


def test_fit_temperature_scaled_logits_scales_too() -> None:
    logit, label = drawn(300, 1.5)
    once = fit_temperature(logit, label)
    assert fit_temperature(logit * 2, label) == pytest.approx(2 * once, rel=1e-4)


@pytest.mark.parametrize("count", [1, 8, 98])
@pytest.mark.parametrize("gap", [0.5, 5.0, 50.0])
def test_fit_temperature_always_right_claims_no_certainty(count: int, gap: float) -> None:
    logit = np.tile([gap, 0.0, 0.0], (count, 1))
    temperature = fit_temperature(logit, np.zeros(count, dtype=int))
    claimed = softmax(logit / temperature)[0, 0]
    assert claimed == pytest.approx(1 - 1 / (count + 2), abs=1e-3)


def test_fit_temperature_always_wrong_stops_at_the_highest() -> None:
    logit = np.tile([9.0, 0.0], (50, 1))
    assert fit_temperature(logit, np.ones(50, dtype=int)) == pytest.approx(100, rel=1e-3)


def test_fit_temperature_flat_logits_is_one() -> None:
    assert fit_temperature(np.ones((5, 3)), np.zeros(5, dtype=int)) == 1.0


def test_fit_temperature_one_label_too_few_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"one entry per image \(3\), but got 2"):
        fit_temperature(np.eye(3), np.array([0, 1]))


def test_log_loss_drawn_labels_equals_scikit_learn() -> None:
    logit, label = drawn(200, 1.0)
    probability = softmax(logit)
    expected = metrics.log_loss(label, probability, labels=range(4))
    assert log_loss(probability, label).mean() == pytest.approx(expected)


def test_log_loss_zero_probability_stays_finite() -> None:
    assert log_loss(np.array([[1.0, 0.0]]), np.array([1]))[0] == pytest.approx(27.631, abs=1e-3)


def test_expected_calibration_error_three_bins_equals_hand_count() -> None:
    # Bins (0, 0.5], (0.5, 1]: {0.3, 0.5} with one right: |0.5 - 0.4| of 2;
    # {0.6, 0.8, 1.0} with two right: |2/3 - 0.8| of 3. Sum (0.2 + 0.4) / 5.
    stated = np.array([0.3, 0.5, 0.6, 0.8, 1.0])
    correct = np.array([True, False, True, False, True])
    assert expected_calibration_error(stated, correct, bin_count=2) == pytest.approx(0.12)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40), st.data())
def test_expected_calibration_error_any_order_is_the_same(
    answers: list[tuple[float, bool]], data: st.DataObject
) -> None:
    stated, correct = (np.array(column) for column in zip(*answers, strict=True))
    order = np.array(data.draw(st.permutations(range(len(answers)))))
    error = expected_calibration_error(stated, correct)
    assert 0 <= error <= 1
    assert expected_calibration_error(stated[order], correct[order]) == pytest.approx(error)
    # The gap of all images together can only be smaller.
    assert error >= abs(stated.mean() - correct.mean()) - 1e-12


def test_reliability_bins_weighted_gaps_equal_the_error() -> None:
    rng = np.random.default_rng(3)
    stated, correct = rng.random(300), rng.random(300) < 0.6
    bins = reliability_bins(stated, correct)
    gaps = sum(one.count * abs(one.accuracy - one.confidence) for one in bins) / 300
    assert gaps == pytest.approx(expected_calibration_error(stated, correct))
    assert all(one.low <= one.confidence <= one.high for one in bins)


@pytest.mark.parametrize(
    ("stated", "correct", "bin_count", "match"),
    [
        pytest.param([], [], 15, "N at least 1", id="none"),
        pytest.param([1.2], [True], 15, r"in \[0, 1\], but got 1\.2", id="above one"),
        pytest.param([np.nan], [True], 15, r"in \[0, 1\], but got nan", id="nan"),
        pytest.param([0.5], [True, False], 15, r"bool of shape \(1,\), but got", id="lengths"),
        pytest.param([0.5], [1], 15, "must be bool .* but got int64", id="no bool"),
        pytest.param([0.5], [True], 0, "bin_count must be at least 1, but got 0", id="no bin"),
    ],
)
def test_expected_calibration_error_bad_argument_is_refused(
    stated: list[float], correct: list[bool], bin_count: int, match: str
) -> None:
    with pytest.raises(ShapeError, match=match):
        expected_calibration_error(np.array(stated), np.array(correct), bin_count=bin_count)
