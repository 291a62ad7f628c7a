import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from sihwa.errors import ShapeError
from sihwa.evaluation import balanced_accuracy, confusion_matrix, macro_f1
from sihwa.evaluation.confusion import recall

PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=80)


@given(PAIRS)
def test_confusion_metrics_any_answers_equal_scikit_learn(answers: list[tuple[int, int]]) -> None:
    label, predicted = np.array(answers).T
    matrix = confusion_matrix(label, predicted, 4)
    assert (matrix == metrics.confusion_matrix(label, predicted, labels=range(4))).all()
    # scikit-learn's balanced_accuracy_score warns here; its definition is this recall
    balanced = metrics.recall_score(label, predicted, labels=np.unique(label), average="macro")
    assert float(balanced_accuracy(matrix)) == pytest.approx(balanced)
    f1 = metrics.f1_score(label, predicted, average="macro", zero_division=0)
    assert float(macro_f1(matrix)) == pytest.approx(f1)
    each = metrics.recall_score(
        label, predicted, labels=range(4), average=None, zero_division=np.nan
    )
    np.testing.assert_allclose(recall(matrix), each)


def test_confusion_metrics_stack_of_matrices_equals_one_by_one() -> None:
    stack = np.random.default_rng(0).integers(0, 9, size=(5, 3, 3))
    for metric in (balanced_accuracy, macro_f1, recall):
        expected = np.stack([metric(one) for one in stack])
        np.testing.assert_allclose(metric(stack), expected)


@pytest.mark.parametrize(
    ("label", "predicted", "match"),
    [
        pytest.param([], [], r"label must be \(N,\) with N at least 1", id="none"),
        pytest.param([0, 2], [0, 0], r"label must be in \[0, 1\] for 2 classes, but got 2", id="2"),
        pytest.param([0, 1], [0, -1], r"predicted must be in \[0, 1\].*but got -1", id="-1"),
        pytest.param([0, 1], [0], r"predicted must have one entry .* \(2\), but got 1", id="short"),
        pytest.param([0.0, 1.0], [0, 1], "integers.*but got dtype float64", id="float"),
    ],
)
def test_confusion_matrix_bad_labels_are_refused(
    label: list[float], predicted: list[float], match: str
) -> None:
    true = np.array(label, dtype=int if not label else None)
    with pytest.raises(ShapeError, match=match):
        confusion_matrix(true, np.array(predicted, dtype=int), 2)


@pytest.mark.parametrize(
    ("matrix", "match"),
    [
        pytest.param([[1, 1, 1], [1, 1, 1]], r"K, K\), but got shape \(2, 3\)", id="oblong"),
        pytest.param([[1, -1], [0, 1]], "at least 0, but got -1", id="negative"),
    ],
)
def test_recall_no_confusion_matrix_is_refused(matrix: list[list[int]], match: str) -> None:
    with pytest.raises(ShapeError, match=match):
        recall(np.array(matrix))
