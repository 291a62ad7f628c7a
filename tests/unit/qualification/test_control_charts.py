import numpy as np
import pytest

from sihwa.qualification.control_charts import BEYOND, LAMBDA, SIDE, TREND, ewma_chart, p_chart


def test_p_chart_limits_are_those_of_the_formula() -> None:
    count, images = np.array([2, 3, 5, 1]), np.array([50, 100, 60, 20])
    chart = p_chart("reject rate", count, images, 3)
    assert chart.centre == pytest.approx(10 / 210)
    for place, size in enumerate((50, 100, 60, 20)):
        reach = 3 * ((10 / 210) * (200 / 210) / size) ** 0.5
        assert chart.low[place] == pytest.approx(max(0, 10 / 210 - reach))
        assert chart.high[place] == pytest.approx(10 / 210 + reach)
    assert not any(one.any() for one in chart.rules.values())


def test_p_chart_point_on_its_limit_is_no_alarm() -> None:
    # p = 0.1 and n = 100 give limits at 0.01 and 0.19
    count = np.array([10] * 10 + [19, 1, 20, 0])
    beyond = p_chart("rate", count, np.full(14, 100), 10).rules[BEYOND]
    assert np.flatnonzero(beyond).tolist() == [12, 13]


def test_p_chart_ninth_point_on_one_side_is_an_alarm() -> None:
    count = np.array([9, 11] * 5 + [11] * 8 + [9] + [9] * 8)
    side = p_chart("rate", count, np.full(len(count), 100), 10).rules[SIDE]
    # the last point of the baseline is above, too: the ninth is the eighth after it
    assert np.flatnonzero(side).tolist() == [17, 26]
    on_centre = p_chart("rate", np.array([9, 11] * 5 + [11] * 4 + [10] + [11] * 5),
                        np.full(20, 100), 10)  # fmt: skip
    assert not on_centre.rules[SIDE].any()


def test_p_chart_sixth_rising_or_falling_point_is_an_alarm() -> None:
    images = np.full(20, 1000)
    rising = np.array([100, 99] * 5 + [100, 101, 102, 103, 104, 105] + [100] * 4)
    # from 99, the last of the baseline, on: 99 to 104 are six
    trend = p_chart("rate", rising, images, 10).rules[TREND]
    assert np.flatnonzero(trend).tolist() == [14, 15]
    falling = p_chart("rate", 200 - rising, images, 10).rules[TREND]
    assert np.flatnonzero(falling).tolist() == [14, 15]
    flat = p_chart("rate", np.array([100, 99] * 5 + [100, 101, 102, 102, 103, 104] + [100] * 4),
                   images, 10)  # fmt: skip
    assert not flat.rules[TREND].any()


def test_p_chart_line_without_change_breaks_no_rule() -> None:
    rules = p_chart("rate", np.full(30, 10), np.full(30, 100), 20).rules
    assert not any(one.any() for one in rules.values())


def test_ewma_chart_equal_periods_have_the_textbook_limits() -> None:
    rng = np.random.default_rng(0)
    mean = rng.normal(1, 0.1, 40)
    # chance within the periods is a part of what is between their means
    chart = ewma_chart("unknown score", mean, np.full(40, 0.1), np.full(40, 30), 25)
    sigma = mean[:25].std(ddof=1)
    number = np.arange(1, 41)
    reach = 3 * sigma * np.sqrt(LAMBDA / (2 - LAMBDA) * (1 - (1 - LAMBDA) ** (2 * number)))
    np.testing.assert_allclose(chart.high, mean[:25].mean() + reach, rtol=1e-12)
    np.testing.assert_allclose(chart.low, mean[:25].mean() - reach, rtol=1e-12)
    z = mean[:25].mean()
    for place, one in enumerate(mean):
        z += LAMBDA * (one - z)
        assert chart.value[place] == pytest.approx(z)


def test_ewma_chart_lots_that_differ_widen_the_limits() -> None:
    rng = np.random.default_rng(1)
    images = rng.integers(50, 500, 60)
    alike = rng.normal(1, 0.3 / np.sqrt(images))
    differing = alike + rng.normal(0, 0.1, 60)
    within = np.full(60, 0.09)
    width = [
        float(np.mean(chart.high - chart.low))
        for chart in (ewma_chart("u", mean, within, images, 40) for mean in (alike, differing))
    ]
    assert width[1] > 2 * width[0]


def test_ewma_chart_false_alarms_are_rare_and_a_shift_is_seen() -> None:
    rng = np.random.default_rng(2)
    false, seen = 0, 0
    for _ in range(200):
        mean = rng.normal(1, 0.05, 60)
        images = rng.integers(20, 200, 60)
        mean += rng.normal(0, 0.3, 60) / np.sqrt(images)
        shifted = mean + np.where(np.arange(60) < 40, 0, 0.12)
        within = np.full(60, 0.09)
        false += int(ewma_chart("u", mean, within, images, 40).rules[BEYOND][40:].any())
        seen += int(ewma_chart("u", shifted, within, images, 40).rules[BEYOND][40:].any())
    assert false < 30
    assert seen > 190


def test_ewma_chart_period_without_scores_stays() -> None:
    mean = np.array([1.0, 1.1, 0.9, np.nan, 1.0])
    images = np.array([5, 5, 5, 0, 5])
    chart = ewma_chart("unknown score", mean, np.full(5, 0.01), images, 3)
    assert np.isnan(chart.value[3])
    assert chart.value[4] == pytest.approx(0.2 * 1.0 + 0.8 * chart.value[2])
    assert not chart.rules[BEYOND][3]
