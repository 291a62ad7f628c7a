import numpy as np
import pytest

from sihwa.decision import TopClassPolicy
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
        "unlike the training pictures; nearest is dent",
    )


@pytest.mark.parametrize(
    ("probability", "unknown"), [([np.nan, 0.5], 1.0), ([0.5, 0.5], np.nan), ([0.5, 0.5], np.inf)]
)
def test_decide_what_is_no_number_goes_to_review(probability: list[float], unknown: float) -> None:
    policy = TopClassPolicy(("good", "scratch"), ("good",))
    decision = policy.decide(np.array([probability]), np.array([unknown]))[0]
    assert decision.outcome == "review"
