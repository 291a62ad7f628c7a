import numpy as np
import torch
from sklearn.covariance import LedoitWolf

from sihwa.model import create_network
from sihwa.training import fit_unknown
from tests.helpers import tiny_config
from tests.unit.training.test_probe import clouds


def score(points: np.ndarray, label: np.ndarray, asked: np.ndarray) -> np.ndarray:
    network = create_network(tiny_config(), int(label.max()) + 1)
    fit_unknown(network, points, label)
    with torch.no_grad():
        result: np.ndarray = network.unknown(torch.from_numpy(asked)).numpy()
    return result


def test_fit_unknown_is_the_mahalanobis_distance_to_the_nearest_centre() -> None:
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(3), 100)
    points = (rng.normal(size=(3, 256))[label] * 3 + rng.normal(size=(300, 256))).astype(np.float32)

    ours = score(points, label, points[:20])

    wide = points.astype(np.float64)
    centre = np.stack([wide[label == index].mean(0) for index in range(3)])
    inverse = LedoitWolf(assume_centered=True).fit(wide - centre[label]).precision_
    offset = wide[:20, None] - centre
    squared = np.einsum("nkd,de,nke->nk", offset, inverse, offset).min(1)
    np.testing.assert_allclose(ours, np.sqrt(squared / 256), rtol=1e-4)


def test_fit_unknown_far_away_scores_higher_than_any_training_image() -> None:
    points, label = clouds(3, 40)
    far = points[:5] + 50 * points.std(0)
    assert score(points, label, far).min() > score(points, label, points).max()


def test_fit_unknown_one_image_per_class_stays_finite() -> None:
    points, label = clouds(3, 1)
    others, _ = clouds(3, 5, seed=1)
    assert np.isfinite(score(points, label, points)).all()
    assert np.isfinite(score(points, label, others)).all()
    assert score(points, label, others).max() < 1e3
