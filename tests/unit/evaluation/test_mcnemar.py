"""McNemar's test against SciPy, statsmodels and brute force; false alarms by simulation."""

from itertools import product

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as reference

from sihwa.errors import ShapeError
from sihwa.evaluation.arrays import BoolArray
from sihwa.evaluation.mcnemar import mcnemar


def pair(only_a: int, only_b: int, both: int = 3, neither: int = 20) -> tuple[BoolArray, BoolArray]:
    kind = np.repeat([0, 1, 2, 3], [only_a, only_b, both, neither])
    return np.isin(kind, (0, 2)), np.isin(kind, (1, 2))


@pytest.mark.parametrize(
    ("only_a", "only_b"), [(0, 0), (1, 0), (5, 5), (3, 11), (40, 17), (900, 1013), (0, 2000)]
)
def test_mcnemar_without_groups_agrees_with_scipy_and_statsmodels(only_a: int, only_b: int) -> None:
    found = mcnemar(*pair(only_a, only_b))
    assert (found.only_a, found.only_b) == (only_a, only_b)
    if only_a + only_b:
        exact = stats.binomtest(only_a, only_a + only_b).pvalue
        assert found.p_value == pytest.approx(exact, abs=1e-9, rel=1e-6)
    table = [[3, only_a], [only_b, 20]]
    assert found.p_value == pytest.approx(reference(table, exact=True).pvalue, abs=1e-9)


def test_mcnemar_one_image_per_group_is_the_plain_test() -> None:
    a, b = pair(4, 13)
    assert mcnemar(a, b, np.arange(a.size)[::-1]) == mcnemar(a, b)


def test_mcnemar_by_group_agrees_with_all_signs_enumerated() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        group = rng.integers(0, 9, 60)
        a, b = rng.random(60) < 0.4, rng.random(60) < 0.2
        difference = np.bincount(group, a.astype(float) - b, minlength=9)
        sums = [abs(np.dot(signs, difference)) for signs in product((-1, 1), repeat=9)]
        share = np.mean(np.array(sums) >= abs(difference.sum()))
        assert mcnemar(a, b, group).p_value == pytest.approx(share, abs=1e-12)


def test_mcnemar_copies_of_images_add_nothing() -> None:
    a, b = pair(2, 9)
    copied = mcnemar(np.repeat(a, 7), np.repeat(b, 7), np.repeat(np.arange(a.size), 7))
    assert copied.p_value == pytest.approx(mcnemar(a, b).p_value)
    assert copied.only_b == 63


def false_alarms(groups: int, largest: int, correlation: float, by_group: bool) -> float:
    """Return how often two inspectors of one kind differ at 5 %, on parts that err together."""
    rng = np.random.default_rng(groups + largest)
    alarms = 0
    for _ in range(2000):
        group = np.repeat(np.arange(groups), rng.integers(1, largest + 1, groups))
        spread = 1 / correlation - 1
        own = rng.beta(0.15 * spread, 0.85 * spread, (2, groups))
        a, b = rng.random((2, group.size)) < own[:, group]
        alarms += mcnemar(a, b, group if by_group else None).p_value <= 0.05
    return alarms / 2000


# 2,000 repeats of a rate of 5 % have a standard error of half a point
@pytest.mark.parametrize("correlation", [0.1, 0.95])
@pytest.mark.parametrize(("groups", "largest"), [(8, 6), (60, 30)])
def test_mcnemar_by_group_false_alarms_stay_below_five_percent(
    groups: int, largest: int, correlation: float
) -> None:
    assert false_alarms(groups, largest, correlation, by_group=True) <= 0.05 + 2 * 0.005


def test_mcnemar_counting_images_of_parts_would_raise_false_alarms() -> None:
    assert false_alarms(60, 30, 0.5, by_group=False) > 0.3


def test_mcnemar_by_group_finds_a_difference() -> None:
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(100), 5)
    bad = rng.random(100) < 0.2
    assert mcnemar(bad[group], np.zeros(500, bool), group).p_value < 1e-3


@pytest.mark.parametrize("lengths", [(3, 4, 3), (3, 3, 4)])
def test_mcnemar_other_lengths_are_refused(lengths: tuple[int, int, int]) -> None:
    a, b, group = (np.zeros(length, dtype=np.int64) for length in lengths)
    with pytest.raises(ShapeError, match="got"):
        mcnemar(a > 0, b > 0, group)
