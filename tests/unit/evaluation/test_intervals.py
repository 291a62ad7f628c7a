from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from sihwa.errors import ShapeError
from sihwa.evaluation import balanced_accuracy, clopper_pearson, macro_f1, upper_bound
from sihwa.evaluation.intervals import bootstrap_sums, redrawn_interval


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
@pytest.mark.parametrize(("successes", "trials"), [(0, 1), (1, 1), (0, 360), (7, 50), (359, 360)])
def test_clopper_pearson_any_counts_equals_statsmodels(
    successes: int, trials: int, confidence: float
) -> None:
    expected = proportion_confint(successes, trials, alpha=1 - confidence, method="beta")
    assert clopper_pearson(successes, trials, confidence) == pytest.approx(expected, abs=1e-12)


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_clopper_pearson_any_counts_holds_the_rate_and_mirrors(counts: tuple[int, int]) -> None:
    successes, trials = counts
    low, high = clopper_pearson(successes, trials)
    assert 0 <= low <= successes / trials <= high <= 1
    mirrored = clopper_pearson(trials - successes, trials)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-9)


@pytest.mark.parametrize(
    ("trials", "bound"), [(299, 0.01), (598, 0.005), (2995, 0.001), (29956, 0.0001)]
)
def test_upper_bound_no_escape_proves_the_tabled_rates(trials: int, bound: float) -> None:
    # Sample sizes: ln 0.05 / ln(1 - rate), rounded up.
    assert upper_bound(0, trials) <= bound < upper_bound(0, trials - 1)


def test_upper_bound_all_occurred_is_one() -> None:
    assert upper_bound(5, 5) == 1.0


@pytest.mark.parametrize(
    ("successes", "trials", "confidence", "match"),
    [
        pytest.param(0, 0, 0.95, "trials must be at least 1, but got 0", id="no trial"),
        pytest.param(-1, 3, 0.95, r"must be in \[0, 3\], but got -1", id="negative"),
        pytest.param(4, 3, 0.95, r"must be in \[0, 3\], but got 4", id="too many"),
        pytest.param(1, 3, 1.0, r"confidence must be in \(0, 1\), but got 1", id="certain"),
    ],
)
def test_intervals_bad_argument_is_refused(
    successes: int, trials: int, confidence: float, match: str
) -> None:
    with pytest.raises(ShapeError, match=match):
        clopper_pearson(successes, trials, confidence)
    with pytest.raises(ShapeError, match=match):
        upper_bound(successes, trials, confidence)


def test_redrawn_interval_even_classes_without_error_equals_exact() -> None:
    # With n images in each of K classes and no error, the exact lower end of the mean recall
    # is that of K n right in K n: the product of the recalls is largest where all are equal.
    interval = partial(redrawn_interval, effect=np.ones(6), confidence=0.95, draw_count=20_000)
    low, high = interval(np.diag([60] * 6), balanced_accuracy, rng=np.random.default_rng(0))
    assert low == pytest.approx(clopper_pearson(360, 360)[0], abs=8e-4)
    assert high == 1.0


@pytest.mark.parametrize("metric", [balanced_accuracy, macro_f1])
@pytest.mark.parametrize(
    ("per_class", "recalls"),
    [
        pytest.param([60] * 6, [0.998] * 6, id="hardly an error"),
        pytest.param([300, 8], [0.995, 0.9], id="a rare class"),
        pytest.param([452, 204], [0.9, 0.78], id="many errors"),
    ],
)
def test_redrawn_interval_many_samples_covers_as_stated(
    metric: object, per_class: list[int], recalls: list[float]
) -> None:
    assert callable(metric)
    rng = np.random.default_rng(11)
    share = np.array([np.full(len(recalls), (1 - r) / (len(recalls) - 1)) for r in recalls])
    np.fill_diagonal(share, recalls)
    true = float(metric(share * np.array(per_class)[:, None]))
    covered = 0
    for _ in range(200):
        drawn = np.stack([rng.multinomial(n, p) for n, p in zip(per_class, share, strict=True)])
        low, high = redrawn_interval(
            drawn, metric, effect=np.ones(len(drawn)), confidence=0.95, draw_count=300, rng=rng
        )
        covered += low <= true <= high
    assert covered / 200 >= 0.92  # 0.95 less two standard errors; a plain bootstrap has 0.50


def test_bootstrap_sums_in_parts_has_the_right_mean_and_spread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sihwa.evaluation.intervals.CELLS_AT_ONCE", 700)
    value = np.random.default_rng(0).normal(size=(100, 2))
    sums = bootstrap_sums(value, resample_count=3000, rng=np.random.default_rng(1))
    assert sums.shape == (3000, 2)
    assert sums.mean(axis=0) == pytest.approx(value.sum(axis=0), abs=0.8)
    assert sums.std(axis=0) == pytest.approx(10 * value.std(axis=0), rel=0.06)
