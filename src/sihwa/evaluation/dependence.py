"""The dependence curve: what remains of a figure when similar images are kept out of training.

Where several images show one part, a random split tests on parts that were trained on, and no
figure of that split says so. The curve repeats the test without the nearest neighbours of each
image: a figure that rests on them falls, and one that does not stays.

Axes: N images, D coordinates, K classes, S sizes of neighbourhoods.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from sihwa.errors import ShapeError

LEFT_OUT = (0, 5, 20)
"""Nearest neighbours that are left out together with the image that is predicted."""

_DIRECTIONS = 384
_STRENGTH = 0.01
_BLOCK = 512


def nearest_neighbours(
    embedding: NDArray[np.floating], count: int
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the most similar images of each image, most similar first, and their cosines.

    Coordinates are standardised first. Memory is a block of rows by N, never N by N.

    Args:
        embedding: (N, D), N above `count`.
        count: Neighbours per image.

    Returns:
        Rows (N, count) and cosines (N, count) in [-1, 1].

    Raises:
        ShapeError: There are too few images.
    """
    if count >= len(embedding):
        raise ShapeError(f"expected more than {count} images, got {len(embedding)}")
    unit = _standardised(embedding)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    rows = np.empty((len(unit), count), np.intp)
    cosine = np.empty((len(unit), count), np.float32)
    for start in range(0, len(unit), _BLOCK):
        block = unit[start : start + _BLOCK] @ unit.T
        own = np.arange(len(block))
        block[own, start + own] = -np.inf
        best = np.argpartition(-block, count - 1, axis=1)[:, :count]
        value = np.take_along_axis(block, best, axis=1)
        order = np.argsort(-value, axis=1, kind="stable")
        rows[start : start + _BLOCK] = np.take_along_axis(best, order, axis=1)
        cosine[start : start + _BLOCK] = np.take_along_axis(value, order, axis=1)
    return rows, cosine


def leave_out_predictions(
    embedding: NDArray[np.floating],
    label: NDArray[np.integer],
    neighbours: NDArray[np.intp],
    *,
    left_out: Sequence[int] = LEFT_OUT,
    on_done: Callable[[int], None] = lambda _: None,
) -> NDArray[np.intp]:
    """Return the class of each image as predicted without it and its nearest neighbours.

    The classifier is a ridge regression of the classes, each of the same weight, on the directions
    of greatest variance. It is fitted once: predictions without a set S of images follow from the
    residuals e and the hat matrix H as y - (I - H_SS)^-1 e_S.

    Args:
        embedding: (N, D).
        label: Class of each image, (N,), each in [0, K).
        neighbours: Rows, most similar first, (N, at least the greatest of `left_out`).
        left_out: Sizes S of the neighbourhoods.
        on_done: Called with the number of images that were predicted since the last call.

    Returns:
        Predicted classes, (S, N).

    Source: Seber and Lee 2003, Linear Regression Analysis, 10.2, for the closed form.
    """
    feature = _directions(embedding)
    count = np.bincount(label)
    weight = np.sqrt(len(label) / (np.count_nonzero(count) * count[label]))[:, None]
    target = np.eye(len(count))[label]
    design = np.concatenate([feature, np.ones((len(feature), 1))], axis=1) * weight
    gram = design.T @ design
    ridge = _STRENGTH * np.trace(gram) / len(gram) * np.eye(len(gram))
    ridge[-1, -1] = 0  # the intercept is not shrunk
    half = design @ np.linalg.inv(np.linalg.cholesky(gram + ridge)).T  # H = half half'
    residual = target * weight - half @ (half.T @ (target * weight))
    predicted = np.empty((len(left_out), len(label)), np.intp)
    for start in range(0, len(label), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(label)))
        for place, size in enumerate(left_out):
            members = np.concatenate([rows[:, None], neighbours[rows, :size]], axis=1)
            chosen = half[members]
            hat = chosen @ chosen.transpose(0, 2, 1)
            error = np.linalg.solve(np.eye(size + 1) - hat, residual[members])[:, 0]
            predicted[place, rows] = (target[rows] - error / weight[rows]).argmax(axis=1)
        on_done(len(rows))
    return predicted


def _standardised(embedding: NDArray[np.floating]) -> NDArray[np.float32]:
    wide = embedding.astype(np.float32)
    wide -= wide.mean(axis=0)
    wide /= np.maximum(wide.std(axis=0), 1e-6)
    return wide


def _directions(embedding: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the standardised embedding along its directions of greatest variance."""
    wide = _standardised(embedding).astype(np.float64)
    _, direction = np.linalg.eigh(wide.T @ wide)
    return np.asarray(wide @ direction[:, -_DIRECTIONS:])
