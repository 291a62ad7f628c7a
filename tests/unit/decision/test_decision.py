import numpy as np
import pytest
from numpy.typing import NDArray

from sihwa.decision import Margin, TopClassPolicy
from sihwa.errors import ShapeError

POLICY = TopClassPolicy(("good", "scratch", "dent"), ("good",))


@pytest.mark.parametrize(
    ("probability", "outcome"),
    [
        pytest.param([0.5, 0.3, 0.2], "accept", id="good is on top"),
        pytest.param([0.3, 0.5, 0.2], "reject", id="a defect is on top"),
        pytest.param([0.4, 0.4, 0.2], "accept", id="of equals the first"),
    ],
)
def test_decide_follows_the_top_class(probability: list[float], outcome: str) -> None:
    assert POLICY.decide(np.array([probability]), np.ones(1))[0].outcome == outcome


def test_decide_reason_names_the_class() -> None:
    assert (
        POLICY.decide(np.array([[0.1, 0.8, 0.1]]), np.ones(1))[0].reason == "top class is scratch"
    )


def test_decide_without_accept_classes_rejects_all() -> None:
    policy = TopClassPolicy(("dent", "scratch"), ())
    decisions = policy.decide(np.array([[0.9, 0.1], [0.1, 0.9]]), np.ones(2))
    assert [decision.outcome for decision in decisions] == ["reject", "reject"]


def test_decide_wrong_number_of_columns_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"must be \(1, 3\) for 3 classes .* but got \(1, 2\)"):
        POLICY.decide(np.array([[0.5, 0.5]]), np.ones(1))


def test_decide_unlike_anything_goes_to_review_and_names_the_nearest() -> None:
    policy = TopClassPolicy(("dent", "scratch"), (), unknown_threshold=2.0)
    at, above = policy.decide(np.array([[0.9, 0.1]] * 2), np.array([2.0, 2.1]))
    assert at.outcome == "reject"
    assert (above.outcome, above.reason) == (
        "review",
        "unlike the training images; nearest is dent",
    )


@pytest.mark.parametrize(
    ("probability", "unknown"), [([np.nan, 0.5], 1.0), ([0.5, 0.5], np.nan), ([0.5, 0.5], np.inf)]
)
def test_decide_what_is_no_number_goes_to_review(probability: list[float], unknown: float) -> None:
    policy = TopClassPolicy(("good", "scratch"), ("good",))
    decision = policy.decide(np.array([probability]), np.array([unknown]))[0]
    assert decision.outcome == "review"


REVIEWING = TopClassPolicy(("good", "scratch", "dent"), ("good",), unknown_threshold=2.0)


def figures(
    rng: np.random.Generator, count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    logit = rng.normal(0, 2, (count, 3))
    probability = np.exp(logit) / np.exp(logit).sum(1, keepdims=True)
    return probability, rng.gamma(4, 0.4, count)


def test_distances_are_those_from_the_next_class_and_from_the_threshold() -> None:
    distance = REVIEWING.distances(np.array([[0.1, 0.6, 0.3]]), np.array([2.5]))
    assert distance.lead == pytest.approx([np.log(2)])
    assert distance.unknown == pytest.approx([0.5])
    assert POLICY.distances(np.array([[0.1, 0.6, 0.3]]), np.array([2.5])).unknown == [np.inf]


def test_is_close_nothing_outside_the_margin_of_its_errors_is_decided_otherwise() -> None:
    rng = np.random.default_rng(0)
    exact, exact_unknown = figures(rng, 20_000)
    stray = exact * np.exp(rng.normal(0, 0.2, exact.shape))
    stray /= stray.sum(1, keepdims=True)
    unknown = exact_unknown + rng.normal(0, 0.05, 20_000)
    overstated = REVIEWING.overstated(stray, unknown, exact, exact_unknown)
    margin = Margin(overstated.lead.max(), overstated.unknown.max())
    close = REVIEWING.is_close(stray, unknown, margin)
    pairs = zip(
        REVIEWING.decide(stray, unknown), REVIEWING.decide(exact, exact_unknown), strict=True
    )
    flipped = np.array([ours != theirs for ours, theirs in pairs])
    assert flipped.sum() > 500
    assert 0.1 < close.mean() < 0.9
    assert not (flipped & ~close).any()
    # and the margin is no wider than that takes: a flip is overstated by all of its distance
    distance = REVIEWING.distances(stray, unknown)
    by_all = (overstated.lead >= distance.lead) | (overstated.unknown >= distance.unknown)
    assert np.array_equal(flipped, by_all)


def test_overstated_says_nothing_of_what_is_understated() -> None:
    near, far = np.array([[0.55, 0.45, 0.0]]), np.array([[0.9, 0.1, 0.0]])
    assert REVIEWING.overstated(near, np.array([1.9]), far, np.array([1.0])) == ([0], [0])
    lead, unknown = REVIEWING.overstated(far, np.array([1.0]), near, np.array([1.9]))
    assert lead == pytest.approx([np.log(9) - np.log(0.55 / 0.45)])
    assert unknown == pytest.approx([0.9])
    assert POLICY.overstated(far, np.array([1.0]), near, np.array([1.9])).unknown == [0]


@pytest.mark.parametrize(
    ("probability", "unknown", "expected"),
    [
        pytest.param([1.0, 0.0, 0.0], 1.0, False, id="as sure as can be"),
        pytest.param([0.7, 0.3, 0.0], 1.0, True, id="a small lead"),
        pytest.param([1.0, 0.0, 0.0], 1.95, True, id="nearly unknown"),
        pytest.param([1.0, 0.0, 0.0], 2.05, True, id="just unknown"),
        pytest.param([0.7, 0.3, 0.0], 5.0, True, id="unknown, but like two classes"),
        pytest.param([np.nan, 0.5, 0.5], 1.0, True, id="no number"),
        pytest.param([1.0, 0.0, 0.0], np.inf, True, id="no unknown score"),
    ],
)
def test_is_close_looks_at_every_border(
    probability: list[float], unknown: float, expected: bool
) -> None:
    close = REVIEWING.is_close(
        np.array([probability]), np.array([unknown]), Margin(lead=1.0, unknown=0.1)
    )
    assert close.tolist() == [expected]
