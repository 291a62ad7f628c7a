"""Types and checks of the arrays that evaluation takes; each check raises ShapeError.

Axes: N images, K classes.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from sihwa.errors import ShapeError

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.integer[Any]]
BoolArray = npt.NDArray[np.bool_]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

# probabilities from float16 or from a CSV file with four digits pass
SUM_TOLERANCE = 1e-3
# cells of draws and resamples held at once: 32 MiB
CELLS_AT_ONCE = 4_194_304


def checked_logit(logit: FloatArray, name: str = "logit") -> Float64:
    """Return `logit` as float64 (N, K), N >= 1, K >= 2, finite."""
    value = np.asarray(logit)
    if value.ndim != 2 or value.shape[0] < 1 or value.shape[1] < 2:
        raise ShapeError(
            f"{name} must be (N, K) with at least 1 image and 2 classes, "
            f"but got shape {value.shape}"
        )
    if value.dtype.kind not in "fiu":
        raise ShapeError(f"{name} must hold real numbers, but got dtype {value.dtype}")
    real: Float64 = value.astype(np.float64)
    _refuse_row(~np.isfinite(real).all(axis=1), f"{name} must be finite", real)
    return real


def checked_probability(probability: FloatArray) -> Float64:
    """Return `probability` as float64 (N, K), each row in [0, 1] and summing to 1."""
    value = checked_logit(probability, "probability")
    outside = ((value < 0) | (value > 1)).any(axis=1)
    _refuse_row(outside, "probability must be in [0, 1]", value)
    astray = np.abs(value.sum(axis=1) - 1) > SUM_TOLERANCE
    _refuse_row(astray, f"probability must sum to 1 (± {SUM_TOLERANCE:g}) in each row", value)
    return value


def checked_label(
    label: IntArray, class_count: int, count: int | None = None, name: str = "label"
) -> Int64:
    """Return `label` as int64 (N,), each in [0, `class_count`), of length `count` if given."""
    value = np.asarray(label)
    if value.ndim != 1 or value.size == 0:
        raise ShapeError(f"{name} must be (N,) with N at least 1, but got shape {value.shape}")
    if value.dtype.kind not in "iu":
        raise ShapeError(f"{name} must hold class numbers (integers), but got dtype {value.dtype}")
    if count is not None and value.size != count:
        raise ShapeError(f"{name} must have one entry per image ({count}), but got {value.size}")
    low, high = int(value.min()), int(value.max())
    if low < 0 or high >= class_count:
        raise ShapeError(
            f"{name} must be in [0, {class_count - 1}] for {class_count} classes, "
            f"but got {low if low < 0 else high}"
        )
    return value.astype(np.int64)


def _refuse_row(wrong: npt.ArrayLike, rule: str, value: Float64) -> None:
    if np.any(wrong):
        row = int(np.argmax(wrong))
        shown = ", ".join(f"{number:g}" for number in value[row, :8])
        raise ShapeError(f"{rule}, but got [{shown}] in row {row}")
