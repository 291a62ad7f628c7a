"""Is this machine enough for the line? From measured times to a yes or a no with its margin."""

from collections.abc import Iterable
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sihwa.benchmark.percentiles import bootstrap_interval
from sihwa.inspector.strict_json import Facts

PERCENT = 99.9
Answer = Literal["not enough", "too close to tell", "enough"]
_RANKS = get_args(Answer)
_RATE_STEPS = 14
"""Halvings: the highest rate is found to a 16,000th of the range."""


class Verdict(Facts, frozen=True):
    """Whether one variant keeps up with the line.

    Attributes:
        verdict: `too close to tell`: the budget or the rate lies in the measured interval.
        line_rate: Parts per second; None: single parts, no queue.
        budget_ms: From file to decision.
        response_ms, low_ms, high_ms: What 99.9 % of the parts wait at most, queue included, and
            its interval.
        margin: What is left of the budget at `response_ms`, as a share of it; below 0 over budget.
        decided_per_s: Parts per second on average, one by one. At this line rate and above, the
            queue grows without end, and times and margin depend on how long was measured.
    """

    variant: str
    verdict: Answer
    line_rate: float | None
    budget_ms: float
    response_ms: float
    low_ms: float
    high_ms: float
    margin: float
    decided_per_s: float

    @property
    def keeps_up(self) -> bool:
        """Whether parts come more slowly than they are decided, on average."""
        return self.line_rate is None or self.line_rate < self.decided_per_s


def response_ms(service_ms: NDArray[np.floating], rate: float | None) -> NDArray[np.floating]:
    """Return how long each part waits for its decision when parts come evenly, `rate` a second.

    A part whose predecessor is not decided yet waits for it, so one slow decision delays several.

    Args:
        service_ms: From file to decision, in the order of measuring, (N,) or (B, N): B lines.
        rate: Parts per second; None: each comes when nothing waits.

    Source: Lindley 1952, "The theory of queues with a single server": a part waits for the
    backlog of work since the queue was last empty.

    >>> response_ms(np.array([5.0, 30.0, 5.0]), 100).tolist()
    [5.0, 30.0, 25.0]
    """
    if rate is None:
        return service_ms
    late = np.cumsum(service_ms - 1000 / rate, axis=-1)
    before = np.concatenate([np.zeros_like(late[..., :1]), late[..., :-1]], axis=-1)
    waits: NDArray[np.floating] = before - np.minimum.accumulate(before, axis=-1)
    return service_ms + waits


def give_verdict(
    variant: str,
    turns_ms: NDArray[np.float64],
    rate: float | None,
    budget_ms: float | None,
    seed: int = 0,
) -> Verdict:
    """Say whether a variant is enough for a line.

    *Enough* and *not enough* must hold at both ends of two intervals: of the response, and of how
    many parts are decided a second. Each resample of whole turns is a line with its own queue.

    `turns_ms` (R turns, C samples) is from file to decision; the others are as in `Verdict`.
    Without a budget a part must be decided before the next one comes, which needs a rate.
    """
    assert rate is not None or budget_ms is not None
    budget = budget_ms if budget_ms is not None else 1000 / (rate or 1)
    # the queue carries over from one turn of the measurement to the next
    value = float(np.percentile(response_ms(turns_ms.reshape(-1), rate), PERCENT))
    low, high = bootstrap_interval(turns_ms, [PERCENT], seed, lambda s: response_ms(s, rate))[:, 0]
    slowest, fastest = _decided_per_s(turns_ms, seed)
    verdict: Answer = "too close to tell"
    if high <= budget and (rate is None or rate < slowest):
        verdict = "enough"
    elif low > budget or (rate is not None and rate >= fastest):
        verdict = "not enough"
    return Verdict(
        variant=variant,
        verdict=verdict,
        line_rate=rate,
        budget_ms=budget,
        response_ms=value,
        low_ms=float(low),
        high_ms=float(high),
        margin=1 - value / budget,
        decided_per_s=1000 / float(turns_ms.mean()),
    )


def highest_rate(
    turns_ms: NDArray[np.float64], budget_ms: float | None = None, seed: int = 0
) -> float:
    """Return the most parts per second for which the verdict is *enough*.

    Without a budget each part is decided before the next one comes. The rate is 0 where even a
    single part takes longer than the budget.
    """
    low, high = 0.0, _decided_per_s(turns_ms, seed)[0]
    for _ in range(_RATE_STEPS):
        rate = (low + high) / 2
        is_enough = give_verdict("", turns_ms, rate, budget_ms, seed).verdict == "enough"
        low, high = (rate, high) if is_enough else (low, rate)
    return low


def _decided_per_s(turns_ms: NDArray[np.float64], seed: int) -> tuple[float, float]:
    """Return the interval of the parts decided a second, one by one, on average."""
    least, most = bootstrap_interval(
        turns_ms, [50.0], seed, lambda samples: samples.mean(axis=1, keepdims=True)
    )[:, 0]
    return 1000 / float(most), 1000 / float(least)


def best_of(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the best verdict: enough before too close before not enough, then by margin."""
    return max(
        verdicts,
        key=lambda one: (
            _RANKS.index(one.verdict),
            one.keeps_up,
            one.margin if one.keeps_up else one.decided_per_s,
        ),
    )
