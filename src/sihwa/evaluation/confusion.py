"""Metrics of the confusion matrix.

Each takes counts (..., K, K), rows true, columns predicted; others raise ShapeError.

Axes: N images, K classes; a leading ... means any number of matrices at once.
"""

import numpy as np

from sihwa.errors import ShapeError
from sihwa.evaluation.arrays import BoolArray, Float64, FloatArray, Int64, IntArray, checked_label


def confusion_matrix(label: IntArray, predicted: IntArray, class_count: int) -> Int64:
    """Count images by true class (rows) and predicted class (columns), (N,), each in [0, K).

    >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    true = checked_label(label, class_count)
    guess = checked_label(predicted, class_count, true.size, "predicted")
    cell = true * class_count + guess
    return np.bincount(cell, minlength=class_count**2).reshape(class_count, class_count)


def recall(confusion: IntArray | FloatArray) -> Float64:
    """Return, per class, the share of its images given this label: (..., K), NaN for no image.

    >>> recall(np.array([[3, 1], [0, 4]])).tolist()
    [0.75, 1.0]
    """
    matrix = _checked(confusion)
    return _share(_diagonal(matrix), matrix.sum(-1))


def balanced_accuracy(confusion: IntArray | FloatArray) -> Float64:
    """Return the mean recall over the classes that have images: (...), NaN for no image.

    Source: Brodersen et al. 2010, "The balanced accuracy and its posterior distribution".

    >>> float(balanced_accuracy(np.array([[3, 1], [0, 4]])))
    0.875
    """
    matrix = _checked(confusion)
    return _mean_where(recall(matrix), matrix.sum(-1) > 0)


def macro_f1(confusion: IntArray | FloatArray, *, counted: BoolArray | None = None) -> Float64:
    """Return the plain mean of the classes' F1, the harmonic mean of precision and recall.

    Args:
        confusion: Counts, (..., K, K).
        counted: Which classes enter the mean, (K,); by default those that occur as a true or
            as a predicted class, as in scikit-learn.

    Returns:
        Means in [0, 1], (...); NaN for no image.

    >>> round(float(macro_f1(np.array([[3, 1], [0, 4]]))), 4)
    0.873
    """
    matrix = _checked(confusion)
    weight = matrix.sum(-1) + matrix.sum(-2)
    f1 = _share(2 * _diagonal(matrix), weight)
    if counted is None:
        return _mean_where(f1, weight > 0)
    return _mean_where(np.nan_to_num(f1), np.broadcast_to(counted, f1.shape))


def _checked(confusion: IntArray | FloatArray) -> Float64:
    value = np.asarray(confusion)
    if value.ndim < 2 or value.shape[-1] != value.shape[-2] or value.shape[-1] < 1:
        raise ShapeError(f"confusion must be (..., K, K), but got shape {value.shape}")
    count: Float64 = value.astype(np.float64)
    if not (count >= 0).all():
        raise ShapeError(f"confusion must hold counts of at least 0, but got {count.min():g}")
    return count


def _diagonal(matrix: Float64) -> Float64:
    return np.diagonal(matrix, axis1=-2, axis2=-1)


def _share(part: Float64, whole: Float64) -> Float64:
    undefined = np.full(np.shape(whole), np.nan)
    return np.asarray(np.divide(part, whole, out=undefined, where=whole > 0))


def _mean_where(value: Float64, where: BoolArray) -> Float64:
    return _share(np.where(where, value, 0.0).sum(-1), where.sum(-1).astype(np.float64))
