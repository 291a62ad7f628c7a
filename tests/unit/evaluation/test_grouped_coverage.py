"""Do the intervals of all figures hold the truth as often as they say when images share parts?"""

import numpy as np
import pytest

from sihwa.evaluation import EvaluationConfig, Truth, evaluate

REPEATS = 600
RATE = (0.95, 0.85, 0.9)
STATED = 0.92


@pytest.mark.slow
@pytest.mark.parametrize("groups", [20, 60, 200])
@pytest.mark.parametrize("largest", [6, 30])
@pytest.mark.parametrize("correlation", [0.0, 0.4, 1.0])
def test_evaluate_intervals_over_groups_hold_the_truth(
    groups: int, largest: int, correlation: float
) -> None:
    truth = {
        "accuracy": np.mean(RATE),
        "balanced_accuracy": np.mean(RATE),
        "log_loss": np.mean(
            [-r * np.log(STATED) - (1 - r) * np.log((1 - STATED) / 2) for r in RATE]
        ),
        "expected_calibration_error": abs(STATED - np.mean(RATE)),
    }
    rng = np.random.default_rng(groups + largest)
    held = dict.fromkeys(truth, 0)
    for _ in range(REPEATS):
        figures = measured(rng, groups, largest, correlation)
        for name, value in truth.items():
            held[name] += figures[name]["low"] <= value <= figures[name]["high"]
    # 94 %, less three standard errors of the simulation
    assert {name: count for name, count in held.items() if count < 0.911 * REPEATS} == {}


def measured(
    rng: np.random.Generator, groups: int, largest: int, correlation: float
) -> dict[str, dict[str, float]]:
    """Return the figures of a set of parts with 1 to `largest` images each."""
    kind = np.arange(groups) % 3
    rate = np.array(RATE)[kind]
    if correlation == 1.0:
        own = (rng.random(groups) < rate).astype(float)
    elif correlation:
        spread = 1 / correlation - 1
        own = rng.beta(rate * spread, (1 - rate) * spread)
    else:
        own = rate
    size = np.full(groups, largest)
    part = np.repeat(np.arange(groups), size)
    label = kind[part]
    right = rng.random(len(part)) < own[part]
    predicted = np.where(right, label, (label + 1) % 3)
    probability = np.full((len(part), 3), (1 - STATED) / 2)
    probability[np.arange(len(part)), predicted] = STATED
    config = EvaluationConfig(resamples=200)
    found = evaluate(
        probability, Truth(label, ["a", "b", "c"], group=list(map(str, part))), config=config
    )
    figures: dict[str, dict[str, float]] = found.as_dict()["figures"]
    return figures
