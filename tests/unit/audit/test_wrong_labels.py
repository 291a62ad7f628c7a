import numpy as np
import pytest

from sihwa.audit.out_of_fold import assign_fold, out_of_fold_scores, principal_directions
from sihwa.audit.wrong_labels import find_wrong_labels, suspected_labels
from tests.unit.audit.made import CLASSES, made_embedding, made_inventory, made_labels


@pytest.mark.parametrize("seed", range(3))
def test_find_wrong_labels_finds_planted_ones(seed: int) -> None:
    true = made_labels(300)
    given = list(true)
    planted = np.random.default_rng(seed).permutation(300)[:15].tolist()
    for row in planted:
        given[row] = CLASSES[(CLASSES.index(true[row]) + 1) % 3]
    inventory = made_inventory(given)
    feature = principal_directions(made_embedding(true, distance=6, seed=seed))
    (found,) = find_wrong_labels(inventory, feature, seed)
    rows = [inventory.path.index(one.path) for one in found.images]
    assert len(set(rows) & set(planted)) >= 0.8 * len(planted)
    assert len(set(rows) & set(planted)) >= 0.8 * len(rows)
    assert [one.suggested_label for one in found.images] == [true[row] for row in rows]


def test_find_wrong_labels_clean_labels_give_no_finding() -> None:
    label = made_labels(300)
    feature = principal_directions(made_embedding(label))
    assert not list(find_wrong_labels(made_inventory(label), feature, seed=0))


def test_find_wrong_labels_copies_do_not_vouch_for_each_other() -> None:
    """Four exposures of a part with a wrong label would confirm it, were they on both sides."""
    true = [one for one in made_labels(60) for _ in range(4)]
    part = made_embedding(made_labels(60), width=60, distance=6)
    feature = principal_directions(np.repeat(part, 4, axis=0))
    group = [str(row // 4) for row in range(240)]
    given = ["good" if 8 <= row < 12 else one for row, one in enumerate(true)]
    (found,) = find_wrong_labels(made_inventory(given, group=group), feature, seed=0)
    assert {one.path[-8:-4] for one in found.images} == {"0008", "0009", "0010", "0011"}
    assert not list(find_wrong_labels(made_inventory(given), feature, seed=0))


def test_find_wrong_labels_leaves_out_close_calls_of_classes_that_overlap() -> None:
    label = ["good", "dent"] * 200
    feature = principal_directions(made_embedding(label, distance=1.2))
    (found,) = find_wrong_labels(made_inventory(label), feature, seed=0)
    likely = [int(one.note.split()[-2]) for one in found.images]
    assert min(likely) >= 80  # four times as likely as the label
    assert likely == sorted(likely, reverse=True)


def test_suspected_labels_equal_the_confident_joint_of_the_paper() -> None:
    """Worked by hand: thresholds are 0.7 for the first class and 0.6 for the second."""
    probability = np.array([[0.9, 0.1], [0.5, 0.5], [0.75, 0.25], [0.1, 0.9], [0.65, 0.35]])
    label = np.array([0, 0, 1, 1, 1])
    # images 0 to 1 average 0.7; images 2 to 4 average 0.5
    assert suspected_labels(probability, label).tolist() == [0, 1, 0, 1, 1]


def test_out_of_fold_scores_equal_a_fit_without_the_fold(rng: np.random.Generator) -> None:
    embedding, label = rng.normal(size=(40, 5)), np.arange(40) % 2
    fold = assign_fold(label, np.arange(40), 4, seed=0)
    fitted = np.full(40, True)
    before = out_of_fold_scores(embedding, label, fold, fitted)
    other = np.where(fold == 2, 1 - label, label)  # the scores of a fold ignore its own labels
    assert np.bincount(other).tolist() == [20, 20]
    np.testing.assert_allclose(
        out_of_fold_scores(embedding, other, fold, fitted)[fold == 2], before[fold == 2]
    )


def test_assign_fold_keeps_components_and_spreads_classes(rng: np.random.Generator) -> None:
    component = np.repeat(np.arange(60), 3)
    label = np.repeat(np.arange(60) % 3, 3)
    fold = assign_fold(label, component, 10, seed=0)
    assert all(len(set(fold[component == one].tolist())) == 1 for one in range(60))
    assert [np.bincount(fold[label == one]).tolist() for one in range(3)] == [[6] * 10] * 3


def test_principal_directions_equal_those_of_a_singular_value_decomposition(
    rng: np.random.Generator,
) -> None:
    embedding = rng.normal(size=(50, 6)) @ rng.normal(size=(6, 6))
    found = principal_directions(embedding)
    standard = (embedding - embedding.mean(0)) / embedding.std(0)
    left, value, _ = np.linalg.svd(standard, full_matrices=False)
    np.testing.assert_allclose(np.abs(found[:, ::-1]), np.abs(left * value), atol=1e-4)
