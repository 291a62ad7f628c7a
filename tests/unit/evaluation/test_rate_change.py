"""Fisher's test of a figure then and now, against SciPy and by simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from sihwa.evaluation.arrays import BoolArray, IntArray
from sihwa.evaluation.grouped import design_effect
from sihwa.evaluation.intervals import Figure
from sihwa.evaluation.rate_change import effective_images, rate_change
from sihwa.evaluation.rates import Rates


def figure(hit: BoolArray, group: IntArray | None = None) -> Figure:
    return Rates(group, 0.95).figure(hit, np.ones_like(hit), "none")


def counted(hits: int, count: int) -> Figure:
    return figure(np.arange(count) < hits)


@pytest.mark.parametrize(
    ("then", "now"), [((3, 120), (14, 90)), ((0, 40), (0, 7)), ((9, 9), (1, 9))]
)
def test_rate_change_without_groups_is_fishers_test(
    then: tuple[int, int], now: tuple[int, int]
) -> None:
    table = np.array([[hits, count - hits] for hits, count in (then, now)])
    expected = stats.fisher_exact(table).pvalue
    assert rate_change(counted(*then), counted(*now)) == pytest.approx(expected, rel=1e-9)


def test_rate_change_undefined_figure_has_no_p_value() -> None:
    nothing = Rates(None, 0.95).figure(np.zeros(3, bool), np.zeros(3, bool), "no image")
    assert rate_change(nothing, counted(1, 9)) is None


@pytest.mark.parametrize("hits", [0, 20, 33, 240])
def test_effective_images_of_an_interval_are_those_it_was_made_from(hits: int) -> None:
    hit, group = np.arange(240) < hits, np.arange(240) // 6
    effect = design_effect(hit, group)
    assert effect > 1.5
    assert effective_images(figure(hit, group)) == pytest.approx(240 / effect, rel=1e-6)


def test_rate_change_over_groups_says_less_than_over_images() -> None:
    then, now = np.arange(300) < 15, np.arange(300) < 45
    group = np.arange(300) // 5
    by_group = rate_change(figure(then, group), figure(now, group))
    by_image = rate_change(figure(then), figure(now))
    assert by_group is not None
    assert by_image is not None
    assert by_group > 20 * by_image


def test_rate_change_over_groups_rounds_the_rates_towards_each_other() -> None:
    group = np.arange(240) // 6
    then, now = (figure(np.arange(240) < hits, group) for hits in (9, 75))
    few, many = math.floor(effective_images(then)), math.floor(effective_images(now))
    low, high = math.ceil(9 / 240 * few), math.floor(75 / 240 * many)
    expected = stats.fisher_exact(np.array([[low, few - low], [high, many - high]])).pvalue
    assert rate_change(then, now) == pytest.approx(expected)
    assert rate_change(now, then) == pytest.approx(expected)


@pytest.mark.parametrize("correlation", [0.3, 0.95])
def test_rate_change_over_groups_false_alarms_stay_below_five_percent(correlation: float) -> None:
    rng = np.random.default_rng(0)
    spread, alarms, group = 1 / correlation - 1, 0, np.repeat(np.arange(50), 5)
    for _ in range(500):
        own = rng.beta(0.2 * spread, 0.8 * spread, (2, 50))
        then, now = (figure(rng.random(250) < one[group], group) for one in own)
        p_value = rate_change(then, now)
        alarms += p_value is not None and p_value <= 0.05
    assert alarms <= 0.05 * 500
