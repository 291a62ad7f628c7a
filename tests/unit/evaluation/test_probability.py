import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special
from sklearn import metrics

from sihwa.errors import ShapeError
from sihwa.evaluation import fit_temperature, log_loss, reliability_bins, softmax
from sihwa.evaluation.probability import calibration_gaps


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


def calibration_error(top: np.ndarray, correct: np.ndarray) -> float:
    return float(np.abs(calibration_gaps(top, correct).sum(axis=0)).sum() / len(top))


def test_calibration_gaps_two_bins_equal_a_count_by_hand() -> None:
    # bin (0.4, 0.467]: {0.41, 0.45} with one right, 0.14 of 2; bin (0.733, 0.8]:
    # {0.74, 0.76, 0.8} with two right, 0.3 of 3
    top = np.array([0.41, 0.45, 0.74, 0.76, 0.8])
    correct = np.array([True, False, True, False, True])
    assert calibration_error(top, correct) == pytest.approx((0.14 + 0.3) / 5)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40), st.data())
def test_calibration_gaps_any_order_gives_the_same_error(
    answers: list[tuple[float, bool]], data: st.DataObject
) -> None:
    top, correct = (np.array(column) for column in zip(*answers, strict=True))
    order = np.array(data.draw(st.permutations(range(len(answers)))))
    error = calibration_error(top, correct)
    assert calibration_error(top[order], correct[order]) == pytest.approx(error)
    # the gap of all images together can only be smaller
    assert 1 >= error >= abs(top.mean() - correct.mean()) - 1e-12


def test_reliability_bins_weighted_gaps_equal_the_error() -> None:
    rng = np.random.default_rng(3)
    top, correct = rng.random(300), rng.random(300) < 0.6
    bins = reliability_bins(top, correct)
    gaps = sum(one.count * abs(one.accuracy - one.confidence) for one in bins) / 300
    assert gaps == pytest.approx(calibration_error(top, correct))
    assert all(one.low <= one.confidence <= one.high for one in bins)
