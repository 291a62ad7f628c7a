"""The figures now against those that a card states."""

import json
from typing import Any

import numpy as np
import pytest
from scipy import stats

from sihwa.evaluation import Evaluation, EvaluationConfig, Truth, evaluate
from sihwa.qualification.then_and_now import compare_with_training, read_figure

CONFIG = EvaluationConfig(resamples=100)


def measured(escapes: int, count: int = 100, group: list[str] | None = None) -> Evaluation:
    """Half the parts are good and accepted; some defects escape, the others are rejected."""
    label = np.arange(count) % 2
    escaped = (label == 1) & (np.arange(count) < 2 * escapes)
    top = np.where(escaped, 0, label)
    outcome = np.where(top == 0, "accept", "reject").tolist()
    truth = Truth(label, ["good", "crack"], ["good"], group)
    return evaluate(np.eye(2)[top] * 0.9 + 0.05, truth, outcome=outcome, config=CONFIG)


def metrics(escapes: int) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(json.dumps(measured(escapes).as_dict()))
    return content


@pytest.mark.parametrize(
    ("then", "now", "verdict", "accuracy"),
    [
        (2, 3, "as before", "as before"),
        (2, 20, "worse than before", "worse than before"),
        (20, 2, "better than before", "better than before"),
    ],
)
def test_compare_with_training_verdict(then: int, now: int, verdict: str, accuracy: str) -> None:
    changes = {one.name: one for one in compare_with_training(measured(now), metrics(then))}
    assert list(changes) == ["escapes", "overkill", "review", "errors", "accuracy"]
    assert changes["escapes"].verdict.startswith(verdict)
    assert changes["accuracy"].verdict.startswith(accuracy)
    assert changes["overkill"].verdict == "as before"
    expected = stats.fisher_exact(np.array([[then, 50 - then], [now, 50 - now]])).pvalue
    assert changes["escapes"].p_value == pytest.approx(expected)


def test_compare_with_training_few_parts_show_nothing() -> None:
    group = [str(row // 25) for row in range(100)]
    [escapes, *_] = compare_with_training(measured(20, group=group), metrics(2))
    assert escapes.verdict == "as before"


def test_compare_with_training_no_defect_now_says_so() -> None:
    good = evaluate(
        np.array([[0.9, 0.1]] * 3),
        Truth(np.zeros(3, int), ["good", "crack"], ["good"]),
        outcome=["accept"] * 3,
        config=CONFIG,
    )
    [escapes, *_] = compare_with_training(good, metrics(2))
    assert (escapes.p_value, escapes.verdict) == (None, "no image of a defect")


@pytest.mark.parametrize("content", [{}, {"decisions": None, "figures": 3}, {"decisions": [1]}])
def test_compare_with_training_card_without_figures_gives_none(content: dict[str, Any]) -> None:
    assert compare_with_training(measured(2), content) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"occurrences": -1},
        {"occurrences": 51},
        {"occurrences": None},
        {"value": "0.04"},
        {"value": 0.5},
        {"low": None},
        {"low": 0.2},
        {"count": 0},
        {"confidence": 1.0},
    ],
    ids=str,
)
def test_read_figure_that_contradicts_itself_is_none(changes: dict[str, object]) -> None:
    good = metrics(2)["decisions"]["figures"]["escapes"]
    assert read_figure(good) is not None
    assert read_figure({**good, **changes}) is None
