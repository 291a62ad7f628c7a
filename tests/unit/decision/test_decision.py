import numpy as np
import pytest
from numpy.typing import NDArray

from sihwa.decision import Margin, Policy, ThresholdPolicy, TopClassPolicy, defect_probability
from sihwa.errors import ShapeError

CLASSES = ("good", "scratch", "dent")
POLICY = TopClassPolicy(CLASSES, ("good",), unknown_threshold=2.0)
WITHOUT_THRESHOLD = TopClassPolicy(CLASSES, ("good",))
NONE_ACCEPTED = TopClassPolicy(CLASSES, ())
SELECTIVE = TopClassPolicy(CLASSES, ("good",), least_probability=0.7)
THRESHOLDS = ThresholdPolicy(
    CLASSES, ("good",), unknown_threshold=2.0, accept_at_most=0.125, reject_at_least=0.5
)


@pytest.mark.parametrize(
    ("policy", "probability", "unknown", "outcome", "reason"),
    [
        pytest.param(POLICY, [0.5, 0.3, 0.2], 2.0, "accept", "top class is good", id="good"),
        pytest.param(POLICY, [0.3, 0.5, 0.2], 1.0, "reject", "top class is scratch", id="defect"),
        pytest.param(POLICY, [0.4, 0.4, 0.2], 1.0, "accept", "good", id="first of equals"),
        pytest.param(POLICY, [0.1, 0.1, 0.8], 2.1, "review", "nearest is dent", id="unknown"),
        pytest.param(WITHOUT_THRESHOLD, [0.9, 0.1, 0], 9e9, "accept", "good", id="no threshold"),
        pytest.param(NONE_ACCEPTED, [0.9, 0.1, 0], 1.0, "reject", "good", id="no accept class"),
        pytest.param(POLICY, [np.nan, 0.5, 0.5], 1.0, "review", "NaN", id="NaN probability"),
        pytest.param(POLICY, [0.5, 0.5, 0], np.nan, "review", "NaN", id="NaN unknown score"),
        pytest.param(WITHOUT_THRESHOLD, [0.5, 0.5, 0], np.inf, "review", "inf", id="infinite"),
        pytest.param(SELECTIVE, [0.3, 0.7, 0], 1.0, "reject", "scratch", id="sure enough"),
        pytest.param(SELECTIVE, [0.69, 0.3, 0.01], 1.0, "review", "too low", id="not sure enough"),
        pytest.param(THRESHOLDS, [0.875, 0.125, 0], 1.0, "accept", "low", id="at low threshold"),
        pytest.param(THRESHOLDS, [0.8, 0.1, 0.1], 1.0, "review", "between", id="between"),
        pytest.param(THRESHOLDS, [0.5, 0.25, 0.25], 1.0, "reject", "high", id="sum of defects"),
        pytest.param(THRESHOLDS, [1, 0, 0], 2.1, "review", "unlike", id="unknown, thresholds"),
        pytest.param(THRESHOLDS, [np.nan, 1, 0], 1.0, "review", "NaN", id="NaN, thresholds"),
    ],
)
def test_decide_one_image_gives_outcome_and_reason(
    policy: Policy, probability: list[float], unknown: float, outcome: str, reason: str
) -> None:
    (decision,) = policy.decide(np.array([probability]), np.array([unknown]))
    assert decision.outcome == outcome
    assert reason in decision.reason


def test_decide_wrong_number_of_columns_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"must be \(1, 3\) for 3 classes .* but got \(1, 2\)"):
        POLICY.decide(np.array([[0.5, 0.5]]), np.ones(1))


def test_distances_measure_from_next_class_and_threshold() -> None:
    distance = POLICY.distances(np.array([[0.1, 0.6, 0.3]]), np.array([2.5]))
    assert distance.lead == pytest.approx([np.log(2)])
    assert distance.unknown == pytest.approx([0.5])
    without = WITHOUT_THRESHOLD.distances(np.array([[0.1, 0.6, 0.3]]), np.array([2.5]))
    assert without.unknown == [np.inf]


def figures(
    rng: np.random.Generator, count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    logit = rng.normal(0, 2, (count, 3))
    probability = np.exp(logit) / np.exp(logit).sum(1, keepdims=True)
    return probability, rng.gamma(4, 0.4, count)


def test_is_close_margin_of_the_errors_holds_every_flip() -> None:
    rng = np.random.default_rng(0)
    exact, exact_unknown = figures(rng, 20_000)
    inexact = exact * np.exp(rng.normal(0, 0.2, exact.shape))
    inexact /= inexact.sum(1, keepdims=True)
    unknown = exact_unknown + rng.normal(0, 0.05, 20_000)
    overstated = POLICY.overstated(inexact, unknown, exact, exact_unknown)
    margin = Margin(*(one.max() for one in overstated))
    close = POLICY.is_close(inexact, unknown, margin)
    pairs = zip(POLICY.decide(inexact, unknown), POLICY.decide(exact, exact_unknown), strict=True)
    flipped = np.array([ours != theirs for ours, theirs in pairs])
    assert flipped.sum() > 500
    assert 0.1 < close.mean() < 0.9
    assert not (flipped & ~close).any()
    # the margin is tight: a decision flips exactly if a distance is overstated by all of it
    distance = POLICY.distances(inexact, unknown)
    by_all = (overstated.lead >= distance.lead) | (overstated.unknown >= distance.unknown)
    assert np.array_equal(flipped, by_all)


@pytest.mark.parametrize("policy", [SELECTIVE, THRESHOLDS], ids=["selective", "thresholds"])
def test_is_close_margin_holds_every_flip_of_thresholds(policy: Policy) -> None:
    rng = np.random.default_rng(1)
    exact, unknown = figures(rng, 20_000)
    inexact = exact * np.exp(rng.normal(0, 0.2, exact.shape))
    inexact /= inexact.sum(1, keepdims=True)
    margin = Margin(*(one.max() for one in policy.overstated(inexact, unknown, exact, unknown)))
    close = policy.is_close(inexact, unknown, margin)
    pairs = zip(policy.decide(inexact, unknown), policy.decide(exact, unknown), strict=True)
    flipped = np.array([ours != theirs for ours, theirs in pairs])
    assert flipped.sum() > 500
    assert 0.1 < close.mean() < 0.9
    assert not (flipped & ~close).any()
    narrow = policy.is_close(inexact, unknown, margin._replace(odds=0))
    assert (flipped & ~narrow).any()  # the margin of the odds is needed


def test_distances_of_odds_are_to_the_nearest_threshold() -> None:
    distance = THRESHOLDS.distances(np.array([[0.8, 0.1, 0.1], [1, 0, 0]]), np.ones(2))
    assert distance.odds[0] == pytest.approx(np.log(7) - np.log(4))
    assert distance.odds[1] > 60
    assert WITHOUT_THRESHOLD.distances(np.array([[1.0, 0, 0]]), np.ones(1)).odds == [np.inf]


def test_defect_probability_adds_small_numbers_exactly() -> None:
    small = np.array([[1, 2**-30, 2**-40]], np.float32)
    assert defect_probability(small, CLASSES, ("good",)) == [2**-30 + 2**-40]


def test_overstated_understated_distance_counts_as_zero() -> None:
    near, far = np.array([[0.55, 0.45, 0.0]]), np.array([[0.9, 0.1, 0.0]])
    assert POLICY.overstated(near, np.array([1.9]), far, np.array([1.0])) == ([0], [0], [0])
    lead, unknown, _ = POLICY.overstated(far, np.array([1.0]), near, np.array([1.9]))
    assert lead == pytest.approx([np.log(9) - np.log(0.55 / 0.45)])
    assert unknown == pytest.approx([0.9])
    without = WITHOUT_THRESHOLD.overstated(far, np.array([1.0]), near, np.array([1.9]))
    assert without.unknown == [0]


@pytest.mark.parametrize(
    ("probability", "unknown", "expected"),
    [
        pytest.param([1.0, 0.0, 0.0], 1.0, False, id="certain"),
        pytest.param([0.7, 0.3, 0.0], 1.0, True, id="small lead"),
        pytest.param([1.0, 0.0, 0.0], 1.95, True, id="nearly unknown"),
        pytest.param([1.0, 0.0, 0.0], 2.05, True, id="just unknown"),
        pytest.param([0.7, 0.3, 0.0], 5.0, True, id="unknown with small lead"),
        pytest.param([np.nan, 0.5, 0.5], 1.0, True, id="NaN probability"),
        pytest.param([1.0, 0.0, 0.0], np.inf, True, id="infinite unknown score"),
    ],
)
def test_is_close_checks_every_border(
    probability: list[float], unknown: float, expected: bool
) -> None:
    close = POLICY.is_close(
        np.array([probability]), np.array([unknown]), Margin(lead=1.0, unknown=0.1)
    )
    assert close.tolist() == [expected]
