import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf, ledoit_wolf

from sihwa.decision import far_threshold, fit_unknown, unknown_threshold
from sihwa.decision.unknown import _ledoit_wolf
from sihwa.errors import ShapeError
from sihwa.model import UnknownScore

SCORES = st.lists(st.integers(1, 30), min_size=1, max_size=60)
Array = NDArray[np.floating]


def clouds(count: int, seed: int = 0) -> tuple[Array, NDArray[np.integer]]:
    """Return embeddings (3 · count, 256) around three centres, and their labels."""
    label = np.repeat(np.arange(3), count)
    centre = np.random.default_rng(0).normal(size=(3, 256)) * 3
    noise = np.random.default_rng(seed + 1).normal(size=(3 * count, 256))
    return (centre[label] + noise).astype(np.float32), label


def score(points: Array, label: NDArray[np.integer], asked: Array) -> Array:
    module = UnknownScore(points.shape[1], 3)
    module.set_classes(*map(torch.from_numpy, fit_unknown(points, label, module.directions)))
    result: Array = module(torch.from_numpy(asked)).numpy()
    return result


@pytest.mark.parametrize(("count", "width"), [(5, 40), (300, 40), (2, 3)])
def test_ledoit_wolf_equals_scikit_learn(count: int, width: int) -> None:
    rows = np.random.default_rng(0).normal(size=(count, width)) * np.linspace(0.01, 3, width)
    expected, _ = ledoit_wolf(rows, assume_centered=True)
    np.testing.assert_allclose(_ledoit_wolf(rows), expected, rtol=1e-9, atol=1e-12)


def test_fit_unknown_weighs_all_directions_and_those_between_classes() -> None:
    points, label = clouds(100)
    points = points[:, :100]
    wide = points.astype(np.float64)
    centre = np.stack([wide[label == index].mean(0) for index in range(3)])
    inverse = LedoitWolf(assume_centered=True).fit(wide - centre[label]).precision_
    offset = wide[:20, None] - centre
    everywhere = np.einsum("nkd,de,nke->nk", offset, inverse, offset) / 100
    # between classes: the part of the whitened offset that lies in the span of the centres
    root = np.linalg.cholesky(inverse)
    span = np.linalg.qr(((centre[1:] - centre[0]) @ root).T)[0]
    between = ((offset @ root @ span) ** 2).sum(2) / 2
    squared = ((everywhere + 0.5 * between) / 1.5).min(1)
    np.testing.assert_allclose(score(points, label, points[:20]), np.sqrt(squared), rtol=1e-4)


def test_fit_unknown_finds_what_lies_between_two_classes() -> None:
    points, label = clouds(100)
    others, _ = clouds(100, seed=7)
    middle = (
        others[:100] - points[:100].mean(0) + (points[:100].mean(0) + points[100:200].mean(0)) / 2
    )
    limit = np.quantile(score(points, label, others), 0.99)
    assert (score(points, label, middle) > limit).all()


@pytest.mark.parametrize("classes", [1, 2])
def test_fit_unknown_of_two_classes_is_the_plain_distance(classes: int) -> None:
    points, label = clouds(100)
    few = np.minimum(label, classes - 1)
    projection, centre = fit_unknown(points, few, 256)
    found = ((points[:5, None] @ projection - centre) ** 2).sum(2)
    own = np.stack([points[few == kind].mean(0) for kind in range(classes)])
    inverse = LedoitWolf(assume_centered=True).fit(points - own[few]).precision_
    offset = points[:5, None] - own
    np.testing.assert_allclose(
        found, np.einsum("nkd,de,nke->nk", offset, inverse, offset), rtol=1e-3
    )


def test_fit_unknown_one_image_per_class_stays_finite() -> None:
    points, label = clouds(1)
    others, _ = clouds(5, seed=1)
    assert np.isfinite(score(points, label, points)).all()
    assert score(points, label, others).max() < 1e3


@pytest.mark.parametrize("width", [256, 512])
def test_fit_unknown_fewer_images_than_directions_ignores_rounding(width: int) -> None:
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(3), 32)
    faint = np.exp(-np.arange(width) / 30) + 1e-3
    points = (rng.normal(size=(3, width))[label] + rng.normal(size=(96, width)) * faint).astype(
        "f4"
    )
    noisy = points + rng.normal(size=points.shape).astype("f4") * np.float32(1e-7)
    asked = rng.normal(size=(20, width)).astype("f4")
    np.testing.assert_allclose(score(noisy, label, asked), score(points, label, asked), rtol=1e-5)


def p_value(scores: list[int], candidate: int) -> float:
    return (1 + sum(score >= candidate for score in scores)) / (len(scores) + 1)


@given(SCORES, st.floats(0, 0.5), st.integers(-1, 31))
def test_unknown_threshold_flags_only_small_p_values(
    scores: list[int], rate: float, candidate: int
) -> None:
    threshold = unknown_threshold(np.array(scores, float), rate)
    if threshold is None:
        assert p_value(scores, max(scores) + 1) > rate
    elif candidate > threshold:
        assert p_value(scores, candidate) <= rate + 1e-12


@given(SCORES, st.floats(0, 0.5))
def test_unknown_threshold_splits_calibration_scores_and_equals_none(
    scores: list[int], rate: float
) -> None:
    threshold = unknown_threshold(np.array(scores, float), rate)
    if threshold is not None:
        for score in scores:
            assert abs(score - threshold) >= 0.01
            assert (score > threshold) == (p_value(scores, score) <= rate + 1e-12)


def test_unknown_threshold_holds_its_rate_on_average() -> None:
    rng = np.random.default_rng(0)
    flagged = []
    for _ in range(400):
        score = rng.normal(size=200)
        threshold = unknown_threshold(score[:150], 0.05)
        assert threshold is not None
        flagged.append((score[150:] > threshold).mean())
    assert 0.035 <= np.mean(flagged) <= 0.055


@pytest.mark.parametrize(
    ("score", "rate", "message"),
    [
        pytest.param([0.0, 1.0], -0.1, r"rate must be in \[0, 1\)", id="negative rate"),
        pytest.param([0.0, 1.0], 1.0, r"rate must be in \[0, 1\)", id="rate of 1"),
        pytest.param([1.0, np.nan], 0.1, "finite", id="NaN score"),
    ],
)
def test_unknown_threshold_bad_input_is_refused(
    score: list[float], rate: float, message: str
) -> None:
    with pytest.raises(ShapeError, match=message):
        unknown_threshold(np.array(score), rate)


def test_far_threshold_is_beyond_all_seen_and_below_noise() -> None:
    points, label = clouds(100)
    seen, _ = clouds(4, seed=3)
    limit = far_threshold(score(points, label, seen))
    ordinary, _ = clouds(200, seed=5)
    noise = np.random.default_rng(1).normal(size=(50, 256)).astype(np.float32) * 30
    assert score(points, label, ordinary).max() < limit < score(points, label, noise).min()
    assert far_threshold(np.zeros(3)) > 0
