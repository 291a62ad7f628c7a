import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sihwa.decision import unknown_threshold
from sihwa.errors import ShapeError


def p_value(scores: list[int], candidate: int) -> float:
    return (1 + sum(score >= candidate for score in scores)) / (len(scores) + 1)


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=60),
    st.floats(0, 0.5),
    st.integers(-1, 31),
)
def test_unknown_threshold_flags_only_small_p_values(
    scores: list[int], rate: float, candidate: int
) -> None:
    threshold = unknown_threshold(np.array(scores, float), rate)
    if threshold is None:
        assert p_value(scores, max(scores) + 1) > rate
    elif candidate > threshold:
        assert p_value(scores, candidate) <= rate + 1e-12


@given(st.lists(st.integers(1, 30), min_size=1, max_size=60), st.floats(0, 0.5))
def test_unknown_threshold_divides_the_calibration_scores_by_p_value_and_lies_on_none(
    scores: list[int], rate: float
) -> None:
    threshold = unknown_threshold(np.array(scores, float), rate)
    if threshold is not None:
        for score in scores:
            assert abs(score - threshold) >= 0.01
            assert (score > threshold) == (p_value(scores, score) <= rate + 1e-12)


def test_unknown_threshold_keeps_its_promise_on_average() -> None:
    rng = np.random.default_rng(0)
    flagged = []
    for _ in range(400):
        score = rng.normal(size=200)
        threshold = unknown_threshold(score[:150], 0.05)
        assert threshold is not None
        flagged.append((score[150:] > threshold).mean())
    assert np.mean(flagged) <= 0.055
    assert np.mean(flagged) >= 0.035


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_unknown_threshold_impossible_rate_is_refused(rate: float) -> None:
    with pytest.raises(ShapeError, match=r"rate must be in \[0, 1\)"):
        unknown_threshold(np.zeros(5), rate)


def test_unknown_threshold_not_a_number_is_refused() -> None:
    with pytest.raises(ShapeError, match="finite"):
        unknown_threshold(np.array([1.0, np.nan]), 0.1)
