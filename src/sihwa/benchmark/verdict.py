"""Is this machine enough for the line? From measured times to a yes or a no with its margin."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sihwa.benchmark.percentiles import bootstrap_interval

__all__ = [
    "ENOUGH",
    "NOT_ENOUGH",
    "TOO_CLOSE",
    "Verdict",
    "best_of",
    "give_verdict",
    "highest_rate",
    "response_ms",
]

PERCENT = 99.9
ENOUGH, TOO_CLOSE, NOT_ENOUGH = "enough", "too close to tell", "not enough"
_RATE_STEPS = 14
"""Halvings: the highest rate is found to a 16,000th of what is looked through."""


@dataclass(frozen=True)
class Verdict:
    """Whether one variant keeps up with the line.

    Attributes:
        variant: Which.
        verdict: `enough`, `not enough`, or `too close to tell`: the budget lies in the interval.
        line_rate: Parts per second; None for one part now and then.
        budget_ms: From the part's picture being there to its decision.
        response_ms: What 99.9 % of the parts wait at most, queue included.
        low_ms: Lower end of its interval.
        high_ms: Upper end.
        margin: What is left of the budget at `response_ms`, as a share of it; negative: lacking.
        decided_per_s: Parts per second on the average, one by one. From that line rate on the queue
            grows without end: times and margin then tell only how long was measured.
    """

    variant: str
    verdict: str
    line_rate: float | None
    budget_ms: float
    response_ms: float
    low_ms: float
    high_ms: float
    margin: float
    decided_per_s: float

    @property
    def keeps_up(self) -> bool:
        """Whether parts come more slowly than they are decided, on the average."""
        return self.line_rate is None or self.line_rate < self.decided_per_s

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


def response_ms(service_ms: NDArray[np.float64], rate: float | None) -> NDArray[np.float64]:
    """Return how long each part waits for its decision when parts come evenly, `rate` a second.

    A part whose predecessor is not decided yet waits for it, so one slow decision delays several.

    Args:
        service_ms: From file to decision, in the order of measuring, (N,).
        rate: Parts per second; None: each comes when nothing waits.

    Source: Lindley 1952, "The theory of queues with a single server".

    >>> response_ms(np.array([5.0, 30.0, 5.0]), 100).tolist()
    [5.0, 30.0, 25.0]
    """
    if rate is None:
        return service_ms
    slack = service_ms - 1000 / rate
    waits = np.empty_like(service_ms)
    wait = 0.0
    for place, late in enumerate(slack):
        waits[place] = wait
        wait = max(0.0, wait + late)
    return service_ms + waits


def give_verdict(
    variant: str,
    turns_ms: NDArray[np.float64],
    rate: float | None,
    budget_ms: float | None,
    seed: int = 0,
) -> Verdict:
    """Say whether a variant is enough for a line.

    Args:
        variant: Its name.
        turns_ms: From file to decision, (R turns, C samples).
        rate: Parts per second, or None.
        budget_ms: Allowed time; None: until the next part comes, which needs a rate.
        seed: Of the bootstrap.
    """
    assert rate is not None or budget_ms is not None
    budget = budget_ms if budget_ms is not None else 1000 / (rate or 1)
    responses = _responses(turns_ms, rate)
    value = float(np.percentile(responses, PERCENT))
    low, high = (float(end) for end in bootstrap_interval(responses, [PERCENT], seed)[:, 0])
    decided_per_s = 1000 / float(turns_ms.mean())
    verdict = NOT_ENOUGH
    if low <= budget and (rate is None or rate < decided_per_s):
        verdict = ENOUGH if high <= budget else TOO_CLOSE
    margin = 1 - value / budget
    return Verdict(variant, verdict, rate, budget, value, low, high, margin, decided_per_s)


def highest_rate(
    turns_ms: NDArray[np.float64], budget_ms: float | None = None, seed: int = 0
) -> float:
    """Return the most parts per second for which the verdict is *enough*.

    Args:
        turns_ms: From file to decision, (R turns, C samples).
        budget_ms: Allowed time; None: each part is decided before the next one comes.
        seed: Of the bootstrap.

    Returns:
        Parts per second; 0 where even a single part takes longer than the budget.
    """
    low, high = 0.0, 1000 / float(turns_ms.mean())
    for _ in range(_RATE_STEPS):
        rate = (low + high) / 2
        is_enough = give_verdict("", turns_ms, rate, budget_ms, seed).verdict == ENOUGH
        low, high = (rate, high) if is_enough else (low, rate)
    return low


def _responses(turns_ms: NDArray[np.float64], rate: float | None) -> NDArray[np.float64]:
    # one shift of the line: a queue does not end where a turn of the measurement did
    return response_ms(turns_ms.reshape(-1), rate).reshape(turns_ms.shape)


def best_of(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the best verdict: enough before too close before not enough, then by margin."""
    ranks = (NOT_ENOUGH, TOO_CLOSE, ENOUGH)
    return max(
        verdicts,
        key=lambda one: (
            ranks.index(one.verdict),
            one.keeps_up,
            one.margin if one.keeps_up else one.decided_per_s,
        ),
    )
