import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import cohens_kappa as reference_cohen
from statsmodels.stats.inter_rater import fleiss_kappa as reference_fleiss

from sihwa.errors import ShapeError
from sihwa.evaluation.arrays import IntArray
from sihwa.evaluation.intervals import Figure, clopper_pearson
from sihwa.evaluation.kappa import FAULTLESS, cohens_kappa, fleiss_kappa


def interval(figure: Figure) -> tuple[float, float, float]:
    assert figure.value is not None
    assert figure.low is not None
    assert figure.high is not None
    return figure.value, figure.low, figure.high


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kinds", [2, 3, 5])
def test_cohens_kappa_random_tables_equal_statsmodels(kinds: int, seed: int) -> None:
    table = np.random.default_rng(seed).integers(0, 30, (kinds, kinds))
    value, low, high = interval(cohens_kappa(table, 0.9))
    expected = reference_cohen(table)
    reach = 1.6448536269514722 * expected.std_kappa
    assert value == pytest.approx(expected.kappa, abs=1e-9)
    assert low == pytest.approx(expected.kappa - reach, abs=1e-9)
    assert high == pytest.approx(expected.kappa + reach, abs=1e-9)


def test_cohens_kappa_decisions_equal_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    one = rng.integers(0, 3, 200)
    other = np.where(rng.random(200) < 0.7, one, rng.integers(0, 3, 200))
    table = np.zeros((3, 3), np.int64)
    np.add.at(table, (one, other), 1)
    assert cohens_kappa(table).value == pytest.approx(cohen_kappa_score(one, other), abs=1e-9)


def test_cohens_kappa_effect_widens_as_fewer_decisions_do() -> None:
    table = np.array([[40, 8], [4, 20]])
    value, low, _ = interval(cohens_kappa(table, effect=4))
    fewer, expected, _ = interval(cohens_kappa(table // 4))
    assert (value, low) == pytest.approx((fewer, expected), abs=1e-9)


def test_cohens_kappa_without_a_fault_is_no_certainty() -> None:
    figure = cohens_kappa(np.diag([15, 15]))
    assert (figure.value, figure.high, figure.method) == (1.0, 1.0, FAULTLESS)
    assert figure.low == pytest.approx((clopper_pearson(30, 30)[0] - 0.5) / 0.5)
    assert interval(cohens_kappa(np.diag([15, 15]), effect=3))[1] < interval(figure)[1]


@given(st.integers(1, 500), st.integers(2, 5), st.data())
def test_cohens_kappa_one_category_alone_is_undefined(
    count: int, kinds: int, data: st.DataObject
) -> None:
    table = np.zeros((kinds, kinds), np.int64)
    place = data.draw(st.integers(0, kinds - 1))
    table[place, place] = count
    figure = cohens_kappa(table)
    assert (figure.value, figure.low, figure.high) == (None, None, None)
    assert "all decisions are the same" in str(figure.reason)


@given(st.lists(st.integers(0, 40), min_size=9, max_size=9).filter(any))
def test_cohens_kappa_any_table_has_its_value_in_its_interval(cells: list[int]) -> None:
    figure = cohens_kappa(np.array(cells).reshape(3, 3))
    if figure.value is not None:
        value, low, high = interval(figure)
        assert -1 <= low <= value <= high <= 1


@pytest.mark.parametrize("seed", range(20))
def test_fleiss_kappa_random_tables_equal_statsmodels(seed: int) -> None:
    table = np.random.default_rng(seed).multinomial(6, [0.5, 0.3, 0.2], 25)
    expected = reference_fleiss(table, method="fleiss")
    assert fleiss_kappa(table).value == pytest.approx(expected, abs=1e-9)


def test_fleiss_kappa_interval_equals_leaving_out_each_part() -> None:
    table = np.random.default_rng(1).multinomial(5, [0.6, 0.4], 12)
    without = [reference_fleiss(np.delete(table, part, 0)) for part in range(12)]
    error = np.sqrt(11 / 12 * np.sum((without - np.mean(without)) ** 2))
    value, low, high = interval(fleiss_kappa(table))
    reach = 1.959963984540054 * error
    assert (low, high) == pytest.approx((max(-1, value - reach), value + reach), abs=1e-9)


def test_fleiss_kappa_interval_covers_the_truth() -> None:
    rng = np.random.default_rng(0)
    draw = rng.random

    def study(parts: int) -> IntArray:
        chance = np.where(draw(parts) < 0.5, 0.9, 0.1)
        yes = rng.binomial(3, chance)
        return np.stack([yes, 3 - yes], 1)

    truth = 0.64  # two decisions are both right or both wrong with 0.82, and chance is 0.5
    intervals = [interval(fleiss_kappa(study(50)))[1:] for _ in range(400)]
    assert np.mean([low <= truth <= high for low, high in intervals]) > 0.92


@given(st.integers(1, 60), st.integers(2, 9))
def test_fleiss_kappa_one_category_alone_is_undefined(parts: int, decisions: int) -> None:
    figure = fleiss_kappa(np.tile([decisions, 0], (parts, 1)))
    assert figure.value is None
    assert "all decisions are the same" in str(figure.reason)


def test_fleiss_kappa_one_part_of_a_category_leaves_all_open() -> None:
    table = np.array([[3, 0]] * 9 + [[1, 2]])
    assert interval(fleiss_kappa(table))[1:] == (-1, 1)


def test_fleiss_kappa_without_a_fault_is_no_certainty() -> None:
    value, low, high = interval(fleiss_kappa(np.array([[3, 0]] * 5 + [[0, 3]] * 5)))
    assert (value, high) == (1, 1)
    assert low == pytest.approx((clopper_pearson(10, 10)[0] - 0.5) / 0.5)


@pytest.mark.parametrize(
    ("count", "reason"),
    [
        (np.zeros((2, 2), np.int64), "some above it"),
        (np.array([[1, -1], [0, 1]]), "none below 0"),
        (np.array([[0.5, 1], [0, 1]]), "whole numbers"),
        (np.ones((2, 3), np.int64), r"\(K, K\)"),
    ],
)
def test_cohens_kappa_wrong_table_is_refused(count: IntArray, reason: str) -> None:
    with pytest.raises(ShapeError, match=reason):
        cohens_kappa(count)


def test_fleiss_kappa_unequal_decisions_are_refused() -> None:
    with pytest.raises(ShapeError, match="as many decisions"):
        fleiss_kappa(np.array([[3, 0], [1, 1]]))
