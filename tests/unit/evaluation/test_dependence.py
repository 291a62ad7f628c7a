import numpy as np
import pytest
from sklearn.linear_model import Ridge

from sihwa.errors import ShapeError
from sihwa.evaluation.dependence import (
    leave_out_predictions,
    measure_dependence,
    nearest_neighbours,
)


def clusters(parts: int, images: int, noise: float, rng: np.random.Generator) -> np.ndarray:
    """Return embeddings of parts, each with several images: (parts * images, 40)."""
    centre = rng.normal(size=(parts, 40))
    return np.repeat(centre, images, axis=0) + noise * rng.normal(size=(parts * images, 40))


def test_nearest_neighbours_agree_with_all_pairs() -> None:
    embedding = np.random.default_rng(0).normal(size=(700, 12)) * np.arange(1, 13)
    rows, cosine = nearest_neighbours(embedding, 4)
    standard = (embedding - embedding.mean(0)) / embedding.std(0)
    standard /= np.linalg.norm(standard, axis=1, keepdims=True)
    pairs = standard @ standard.T
    np.fill_diagonal(pairs, -2)
    assert (rows == np.argsort(-pairs, axis=1)[:, :4]).all()
    np.testing.assert_allclose(cosine, -np.sort(-pairs, axis=1)[:, :4], atol=1e-5)


def test_nearest_neighbours_too_few_images_is_refused() -> None:
    with pytest.raises(ShapeError, match="more than 5 images, got 5"):
        nearest_neighbours(np.zeros((5, 3)), 5)


@pytest.mark.parametrize("left_out", [1, 4, 21, 60])  # 60 images are more than directions
def test_leave_out_predictions_agree_with_fitting_again(left_out: int) -> None:
    rng = np.random.default_rng(1)
    embedding = rng.normal(size=(120, 8))
    label = (embedding[:, 0] + rng.normal(size=120) > 0.5).astype(int) + (embedding[:, 1] > 1)
    sets = [
        np.array([row, *np.setdiff1d(rng.permutation(120), [row])[: left_out - 1]])
        for row in range(120)
    ]
    found = leave_out_predictions(embedding, label, sets)

    standard = (embedding - embedding.mean(0)) / embedding.std(0)
    weight = 120 / (3 * np.bincount(label)[label])
    design = np.concatenate([standard, np.ones((120, 1))], axis=1) * np.sqrt(weight)[:, None]
    alpha = 0.2 * np.trace(design.T @ design) / 9
    for row in range(0, 120, 7):
        kept = np.setdiff1d(np.arange(120), sets[row])
        model = Ridge(alpha=alpha, solver="cholesky")
        model.fit(standard[kept], np.eye(3)[label][kept], sample_weight=weight[kept])
        assert found[row] == model.predict(standard[[row]]).argmax()


ALONE = np.arange(600)


def test_measure_dependence_labels_at_random_by_part_fall_to_chance() -> None:
    rng = np.random.default_rng(2)
    embedding = clusters(100, 6, 0.1, rng)
    label = np.repeat(rng.integers(0, 2, 100), 6)
    accept = np.array([True, False])
    found = measure_dependence(embedding, label, accept, ALONE, seed=0)
    assert found is not None
    assert found.falls
    alone, without_part, without_many = found.accuracy
    assert alone > 0.7
    assert max(without_part, without_many) < 0.62
    assert found.escapes is not None
    assert found.escapes[0] < 0.3 < found.escapes[-1]
    by_group = measure_dependence(embedding, label, accept, ALONE // 6, seed=0)
    assert by_group is not None
    assert by_group.by_group
    assert found.learns
    assert not by_group.learns
    assert by_group.chance == pytest.approx(0.5, abs=0.05)
    assert by_group.accuracy[0] == pytest.approx(without_part, abs=0.03)
    assert not by_group.falls


def test_measure_dependence_of_independent_images_stays() -> None:
    rng = np.random.default_rng(3)
    embedding = rng.normal(size=(600, 40))
    label = (embedding[:, 0] + 0.3 * rng.normal(size=600) > 0).astype(int)
    found = measure_dependence(embedding, label, np.zeros(2, np.bool_), ALONE, seed=0)
    assert found is not None
    assert found.accuracy[0] > 0.85
    assert not found.falls
    assert found.escapes is None


def test_measure_dependence_needs_fifty_images() -> None:
    embedding = np.random.default_rng(4).normal(size=(49, 3))
    label, accept = np.arange(49) % 2, np.zeros(2, np.bool_)
    assert measure_dependence(embedding, label, accept, np.arange(49), seed=0) is None


def test_nearest_neighbours_leave_out_the_own_group() -> None:
    rng = np.random.default_rng(5)
    embedding, group = clusters(30, 4, 0.05, rng), np.arange(120) // 4
    rows, _ = nearest_neighbours(embedding, 5, group=group)
    assert (group[rows] != group[:, None]).all()


@pytest.mark.parametrize(("alone", "predicted"), [(20, None), (100, 100), (240, 240)])
def test_measure_dependence_predicts_no_image_of_a_group_that_is_most_of_the_set(
    alone: int, predicted: int | None
) -> None:
    rng = np.random.default_rng(6)
    label = np.arange(240) % 4
    embedding = 4 * np.eye(4)[label] @ rng.normal(size=(4, 64)) + rng.normal(size=(240, 64))
    group = np.maximum(np.arange(240) - (240 - alone), 0) + (np.arange(240) >= 240 - alone)
    found = measure_dependence(embedding, label, np.zeros(4, np.bool_), group, seed=0)
    assert (found and found.images) == predicted
    assert found is None or not found.falls
