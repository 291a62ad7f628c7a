import numpy as np
import pytest
from scipy import stats

from sihwa.errors import ShapeError
from sihwa.evaluation.arrays import IntArray
from sihwa.evaluation.grouped import (
    cautious_upper_bound,
    design_effect,
    group_index,
    grouped_interval,
    grouped_upper_bound,
)
from sihwa.evaluation.intervals import clopper_pearson, upper_bound


@pytest.mark.parametrize("hits", [0, 1, 17, 60])
def test_grouped_interval_one_image_per_group_is_exact(hits: int) -> None:
    hit = np.arange(60) < hits
    assert grouped_interval(hit, np.arange(60)) == pytest.approx(clopper_pearson(hits, 60))
    assert grouped_upper_bound(hit, np.arange(60)) == pytest.approx(upper_bound(hits, 60))


@pytest.mark.parametrize("hits", [0, 9, 60])
def test_grouped_interval_copies_add_nothing(hits: int) -> None:
    hit = np.repeat(np.arange(60) < hits, 4)
    low, high = grouped_interval(hit, np.arange(240) // 4)
    assert (low, high) == pytest.approx(clopper_pearson(hits, 60), abs=2e-3)


def test_design_effect_single_group_counts_as_one_image() -> None:
    assert design_effect(np.array([True, False, True]), np.zeros(3, np.int64)) == 3.0


def test_grouped_interval_independent_images_of_many_groups_count_almost_each() -> None:
    rng = np.random.default_rng(0)
    effect = [design_effect(rng.random(3000) < 0.3, rng.permutation(3000) // 6) for _ in range(20)]
    assert np.mean(effect) < 1.15


def test_grouped_interval_group_order_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    hit, group = rng.random(200) < 0.2, rng.integers(0, 40, 200)
    order = rng.permutation(200)
    assert grouped_interval(hit, group) == grouped_interval(hit[order], group[order])


def test_design_effect_one_group_alone_counts_as_one_image() -> None:
    assert design_effect(np.array([True, False, True, True]), np.zeros(4, np.int64)) == 4


def test_group_index_of_images_without_groups_differ() -> None:
    assert group_index([None, "a", None, "a"]).tolist() == [0, 1, 2, 1]


def test_grouped_interval_no_image_is_refused() -> None:
    with pytest.raises(ShapeError, match="at least 1"):
        grouped_interval(np.zeros(0, bool), np.zeros(0, np.int64))


SIZES = ["1 image", "5 images", "30 images", "1 to 30 images", "mostly 1, some 30"]


def draw_sizes(kind: str, groups: int, rng: np.random.Generator) -> IntArray:
    if kind == "1 to 30 images":
        return rng.integers(1, 31, groups)
    if kind == "mostly 1, some 30":
        return np.where(rng.random(groups) < 0.1, 30, 1)
    return np.full(groups, int(kind.split()[0]))


def coverage(groups: int, sizes: str, correlation: float, rate: float, repeats: int) -> float:
    """Return how often the interval holds the true rate of beta-binomial groups."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(repeats):
        size = draw_sizes(sizes, groups, rng)
        if correlation == 0:
            chance = np.full(groups, rate)
        elif correlation == 1:
            chance = (rng.random(groups) < rate).astype(float)
        else:
            strength = 1 / correlation - 1
            chance = rng.beta(rate * strength, (1 - rate) * strength, groups)
        group = np.repeat(np.arange(groups), size)
        low, high = grouped_interval(rng.random(len(group)) < chance[group], group)
        covered += low <= rate <= high
    return covered / repeats


# 1,000 repeats have a deviation of 0.7 points where 95 % is true
@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.01, 0.1, 0.3])
@pytest.mark.parametrize("correlation", [0, 0.3, 1])
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("groups", [20, 100, 500])
def test_grouped_interval_covers_the_true_rate(
    groups: int, sizes: str, correlation: float, rate: float
) -> None:
    assert coverage(groups, sizes, correlation, rate, 1000) >= 0.94 - 2 * 0.0075


@pytest.mark.parametrize(("sizes", "correlation"), [("5 images", 1), ("mostly 1, some 30", 0.9)])
def test_grouped_interval_covers_where_counting_images_would_not(
    sizes: str, correlation: float
) -> None:
    assert coverage(100, sizes, correlation, 0.1, 300) >= 0.92


def test_cautious_upper_bound_counts_groups_of_one_size_as_images() -> None:
    hit = np.zeros(120, np.bool_)
    hit[::6] = True  # one image of each group: as if no two images were alike
    group = np.arange(120) // 6
    bound = cautious_upper_bound(hit, group)
    assert bound == pytest.approx(stats.beta.ppf(0.95, 20 / 6 + 1, 100 / 6))
    assert bound > grouped_upper_bound(hit, group)
    assert cautious_upper_bound(hit, np.arange(120)) == pytest.approx(upper_bound(20, 120))
