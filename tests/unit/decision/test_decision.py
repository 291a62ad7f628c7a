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
    assert POLICY.decide(np.array([probability]))[0].outcome == outcome


def test_decide_reason_names_the_class() -> None:
    assert POLICY.decide(np.array([[0.1, 0.8, 0.1]]))[0].reason == "top class is scratch"


def test_decide_without_accept_classes_rejects_all() -> None:
    policy = TopClassPolicy(("dent", "scratch"), ())
    decisions = policy.decide(np.array([[0.9, 0.1], [0.1, 0.9]]))
    assert [decision.outcome for decision in decisions] == ["reject", "reject"]


def test_decide_wrong_number_of_columns_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"must be \(N, 3\) but got \(1, 2\)"):
        POLICY.decide(np.array([[0.5, 0.5]]))
