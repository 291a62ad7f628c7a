import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from sihwa.model import Pooling
from sihwa.training.pooled_regression import PooledRegression


def fitted(
    embedding: NDArray[np.float64], label: NDArray[np.int64], **changes: float
) -> PooledRegression:
    kinds = int(label.max()) + 1
    model = PooledRegression(Pooling(embedding.shape[1], kinds, [0]), 500, balanced=False)
    model.C = changes.get("strength", 1.0)
    return model.fit(embedding, label)


@pytest.mark.parametrize("kinds", [2, 3])
def test_pooled_regression_of_equal_tiles_is_scikit_learns(kinds: int) -> None:
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(kinds), 20)
    point = rng.normal(size=(kinds, 5))[label] + rng.normal(size=(len(label), 5))
    ours = fitted(point[:, None].repeat(3, 1), label, strength=0.3)
    # of two classes scikit-learn keeps one row, which bears twice the penalty of two
    strength = 0.6 if kinds == 2 else 0.3
    expected = LogisticRegression(C=strength, tol=1e-8).fit(point, label).predict_proba(point)
    np.testing.assert_allclose(ours.predict_proba(point[:, None].repeat(3, 1)), expected, atol=2e-3)


def test_pooled_regression_learns_from_one_bad_tile_of_many() -> None:
    """Half the images have one tile of 24 that is shifted; the mean of the tiles drowns it."""
    rng = np.random.default_rng(0)

    def draw(count: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        label = np.arange(count) % 2
        tile = rng.normal(size=(count, 24, 6))
        tile[label == 1, rng.integers(24, size=count // 2), 0] += 6
        return tile, label

    (tile, label), (unseen, answer) = draw(200), draw(200)
    right = fitted(tile, label).predict_proba(unseen).argmax(1) == answer
    mean = LogisticRegression().fit(tile.mean(1), label).predict(unseen.mean(1)) == answer
    assert right.mean() > 0.95
    assert mean.mean() < 0.9


def test_pooled_regression_balanced_weighs_classes_alike() -> None:
    rng = np.random.default_rng(0)
    label = np.array([0] * 90 + [1] * 10)
    tile = rng.normal(size=(100, 2, 3)) + 0.2 * label[:, None, None]
    plain = fitted(tile, label, strength=0.001)
    model = PooledRegression(Pooling(2, 2, [0]), 500, balanced=True)
    model.C = 0.001
    share = [one.predict_proba(tile)[:, 1].mean() for one in (plain, model.fit(tile, label))]
    assert share[0] == pytest.approx(0.1, abs=0.02)
    assert share[1] == pytest.approx(0.5, abs=0.02)
