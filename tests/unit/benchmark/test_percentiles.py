import numpy as np
import pytest
from scipy import stats

from sihwa.benchmark.percentiles import PERCENTS, bootstrap_interval, summarise


def test_summarise_values_equal_numpy(rng: np.random.Generator) -> None:
    turns = rng.lognormal(16, 0.3, (20, 50)).astype(np.int64)
    turns[3, 4] = 900_000_000  # a stall is not clipped
    found = summarise(turns.tolist())
    for name, percent in PERCENTS.items():
        expected = np.percentile(turns / 1e6, percent)
        assert found.percentiles[name].value_ms == pytest.approx(expected, rel=1e-12)
        assert found.percentiles[name].low_ms <= expected <= found.percentiles[name].high_ms
    assert (found.worst_ms, found.samples) == (900.0, 1000)


def test_bootstrap_interval_of_single_samples_is_the_usual_bootstrap(
    rng: np.random.Generator,
) -> None:
    samples = rng.exponential(5.0, 200)
    ours = bootstrap_interval(samples[:, None], [50.0])[:, 0]
    scipys = stats.bootstrap(
        (samples,), np.median, n_resamples=4000, method="percentile", rng=rng
    ).confidence_interval
    width = scipys.high - scipys.low
    assert ours == pytest.approx([scipys.low, scipys.high], abs=0.15 * width)


def test_bootstrap_interval_drift_between_turns_is_in_it(rng: np.random.Generator) -> None:
    turns = rng.normal(10, 0.1, (20, 50)) + np.linspace(0, 5, 20)[:, None]
    whole = np.ptp(bootstrap_interval(turns, [50.0])[:, 0])
    single = np.ptp(bootstrap_interval(turns.reshape(-1, 1), [50.0])[:, 0])
    assert whole > 3 * single


def test_bootstrap_interval_in_pieces_is_the_same(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = rng.normal(10, 1, (9, 7))
    whole = bootstrap_interval(turns, [50.0])
    monkeypatch.setattr("sihwa.benchmark.percentiles._CHUNK_BYTES", turns.nbytes * 7)
    assert bootstrap_interval(turns, [50.0]).tolist() == whole.tolist()
