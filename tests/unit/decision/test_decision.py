import numpy as np
import pytest
from numpy.typing import NDArray

from sihwa.decision import Margin, TopClassPolicy
from sihwa.errors import ShapeError

CLASSES = ("good", "scratch", "dent")
POLICY = TopClassPolicy(CLASSES, ("good",), unknown_threshold=2.0)
WITHOUT_THRESHOLD = TopClassPolicy(CLASSES, ("good",))
NONE_ACCEPTED = TopClassPolicy(CLASSES, ())


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
    ],
)
def test_decide_one_image_gives_outcome_and_reason(
    policy: TopClassPolicy, probability: list[float], unknown: float, outcome: str, reason: str
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
    margin = Margin(overstated.lead.max(), overstated.unknown.max())
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


def test_overstated_understated_distance_counts_as_zero() -> None:
    near, far = np.array([[0.55, 0.45, 0.0]]), np.array([[0.9, 0.1, 0.0]])
    assert POLICY.overstated(near, np.array([1.9]), far, np.array([1.0])) == ([0], [0])
    lead, unknown = POLICY.overstated(far, np.array([1.0]), near, np.array([1.9]))
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
