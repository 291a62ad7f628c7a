import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sihwa.benchmark.verdict import give_verdict, highest_rate, response_ms

SERVICE = st.lists(st.floats(0.1, 200), min_size=1, max_size=60)


def simulate(service: list[float], rate: float) -> list[float]:
    """The same line, part after part: each waits until the one before it is decided."""
    free, responses = 0.0, []
    for place, taken in enumerate(service):
        arrival = 1000 / rate * place
        free = max(free, arrival) + taken
        responses.append(free - arrival)
    return responses


@given(SERVICE, st.floats(1, 100))
def test_response_ms_equals_a_simulated_line(service: list[float], rate: float) -> None:
    found = response_ms(np.array(service), rate)
    assert found == pytest.approx(simulate(service, rate), rel=1e-6, abs=1e-6)


def test_highest_rate_one_slow_in_a_thousand_counts_unless_the_budget_allows_waiting() -> None:
    turns = np.full((20, 50), 10.0)
    assert highest_rate(turns) == pytest.approx(100, rel=1e-4)
    turns[3, 7] = turns[9, 1] = 40.0  # two in a thousand lie above the 99.9th percentile
    assert highest_rate(turns) == pytest.approx(25, rel=0.01)
    assert highest_rate(turns, 60.0) > highest_rate(turns)
    assert highest_rate(turns, 39.0) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("budget_ms", [None, 30.0])
def test_highest_rate_is_where_the_verdict_is_no_longer_enough(budget_ms: float | None) -> None:
    turns = np.random.default_rng(0).gamma(4, 2, (20, 50))
    rate = highest_rate(turns, budget_ms, seed=3)
    below, above = (
        give_verdict("", turns, rate * times, budget_ms, seed=3) for times in (0.999, 1.001)
    )
    assert (below.verdict, above.verdict) == ("enough", "too close to tell")


def test_highest_rate_without_a_tight_budget_can_be_kept_up() -> None:
    rng = np.random.default_rng(1)
    claims = [highest_rate(rng.exponential(10, (20, 50)), 1e6, seed=run) for run in range(100)]
    # 100 parts/s is what such a line decides in the long run; the interval is of 95 %
    assert sum(claim > 100 for claim in claims) <= 7


def test_give_verdict_queues_anew_in_each_resample() -> None:
    turns = np.full((20, 50), 5.0)
    turns[9] = 19.0  # one slow turn: behind another of its kind the queue is twice as long
    verdict = give_verdict("", turns, 100.0, 5000.0)
    assert verdict.response_ms == pytest.approx(19 + 49 * 9 - 0.05 * 9, rel=0.01)
    assert verdict.high_ms > 2 * verdict.response_ms * 0.8


@pytest.mark.parametrize(
    ("rate", "budget_ms", "expected"),
    [
        pytest.param(12, 80, "enough", id="both"),
        pytest.param(12, None, "enough", id="rate alone"),
        pytest.param(None, 80, "enough", id="budget alone"),
        pytest.param(12, 5, "not enough", id="slower than the budget"),
        pytest.param(120, None, "not enough", id="faster than it decides"),
        pytest.param(101, 1e9, "not enough", id="no budget makes up for a queue without end"),
    ],
)
def test_give_verdict_of_even_times(
    rate: float | None, budget_ms: float | None, expected: str
) -> None:
    verdict = give_verdict("one", np.full((4, 50), 10.0), rate, budget_ms)
    assert verdict.verdict == expected
    if expected == "enough":
        assert verdict.response_ms == verdict.low_ms == verdict.high_ms == 10.0
        assert verdict.margin == pytest.approx(1 - 10 / (budget_ms or 1000 / 12))


def test_give_verdict_budget_within_the_interval_is_too_close() -> None:
    turns = np.full((10, 50), 10.0)
    turns[0] = 30.0  # in some resamples, not in others
    verdict = give_verdict("one", turns, None, 20.0)
    assert verdict.low_ms < 20 < verdict.high_ms
    assert verdict.verdict == "too close to tell"
