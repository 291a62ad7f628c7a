"""The dependence curve: what remains of a figure when similar images are kept out of training.

Where several images show one part, a random split tests on parts that were trained on, and no
figure of that split says so. The curve repeats the test without the nearest neighbours of each
image: a figure that rests on them falls, and one that does not stays.

Axes: N images, D coordinates, K classes, S sizes of neighbourhoods.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, stats

from sihwa.errors import ShapeError

_LEFT_OUT = (0, 5, 20)
"""Nearest neighbours that are left out of training together with the image that is predicted."""
_LEAST_IMAGES, _MOST_IMAGES = 50, 4000
_LEAST_FALL, _LEAST_RISE = 0.03, 0.05
_LEAST_LEARNT = 0.1
"""Of what lies between chance and no error."""
_STRENGTH = 0.2
"""Of the ridge, as a share of the mean variance. Of 0.01 to 0.5 it was among the best on NEU-DET
and ELPV. With it the figures without neighbours came nearest to those by part on planted sets."""
_BLOCK = 512
_CELLS = 5_000_000


@dataclass(frozen=True, kw_only=True)
class Dependence:
    """The figures of a linear classifier without the nearest neighbours of each image."""

    images: int
    """Images that were predicted."""
    by_group: bool
    """Whether the rest of an image's group is left out in each figure, too."""
    left_out: tuple[int, ...]
    """Nearest neighbours left out of training, S sizes, ascending from 0."""
    accuracy: tuple[float, ...]
    """Share of images given the right label, (S,)."""
    escapes: tuple[float, ...] | None
    """Share of defective images given an accept class, (S,); None without accept classes."""
    overkill: tuple[float, ...] | None
    """Share of good images given a defect class, (S,); None without accept classes."""
    chance: float = 0.0
    """Accuracy of guessing each class as often as the classifier did."""
    of_some: bool = False
    """Whether only some images were to be predicted, those without a group."""
    p_value: float
    """Of an exact sign test: right without any left out, wrong without the most. In (0, 1]."""

    @property
    def fall(self) -> float:
        """Accuracy that is lost, or escapes that come if that is more, in [-1, 1]."""
        return max(self.accuracy[0] - self.accuracy[-1], self._rise)

    @property
    def _rise(self) -> float:
        return self.escapes[-1] - self.escapes[0] if self.escapes else 0.0

    @property
    def learns(self) -> bool:
        """Whether the classifier is better than chance, by an exact test and by a tenth."""
        right = round(self.accuracy[0] * self.images)
        beyond = stats.binomtest(right, self.images, min(self.chance, 1.0), alternative="greater")
        least = self.chance + _LEAST_LEARNT * (1 - self.chance)
        return bool(self.accuracy[0] >= least and beyond.pvalue <= 0.01)

    @property
    def is_certain(self) -> bool:
        """Whether a fall is more than chance."""
        return self.p_value <= 0.01

    @property
    def falls(self) -> bool:
        """Whether the figures rest on similar images: 3 points of accuracy or 5 of escapes."""
        fall = self.accuracy[0] - self.accuracy[-1]
        return self.is_certain and (fall >= _LEAST_FALL or self._rise >= _LEAST_RISE)


def measure_dependence(
    embedding: NDArray[np.floating],
    label: NDArray[np.integer],
    accept: NDArray[np.bool_],
    group: NDArray[np.integer],
    *,
    seed: int,
    among: NDArray[np.bool_] | None = None,
) -> Dependence | None:
    """Return how the figures change when similar images are left out of training.

    Args:
        embedding: (N, D), of the backbone before training.
        label: Class of each image, (N,), each in [0, K).
        accept: Which classes pass, (K,).
        group: Group of each image, (N,); an image without one is a group by itself.
        seed: Picks the images that are predicted, if there are more than 4,000.
        among: Which images are predicted, (N,); None for all.

    Returns:
        None for fewer than 50 images to predict. Those whose group and neighbours make up more than
        a quarter of the images are not predicted: too little would be left to train on.
    """
    sizes = tuple(size for size in _LEFT_OUT if 10 * size <= len(label))
    if len(sizes) < 2:
        return None
    most = len(label) // 4 - sizes[-1]
    fits = np.bincount(group)[group] <= most
    fitting = np.flatnonzero(fits if among is None else fits & among)
    chosen = np.random.default_rng(seed).permutation(fitting)[:_MOST_IMAGES]
    if len(chosen) < _LEAST_IMAGES:
        return None
    rows, _ = nearest_neighbours(embedding, sizes[-1], group=group)
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(group.max() + 2))

    def left_out(row: int, size: int) -> NDArray[np.intp]:
        mates = order[starts[group[row]] : starts[group[row] + 1]]
        return np.concatenate([[row], mates[mates != row], rows[row, :size]])

    sets = [left_out(row, size) for size in sizes for row in chosen.tolist()]
    predicted = leave_out_predictions(embedding, label, sets).reshape(len(sizes), -1)
    true = label[chosen]
    right = predicted == true
    lost, won = int((right[0] & ~right[-1]).sum()), int((right[-1] & ~right[0]).sum())
    kinds = len(accept)
    guessed = np.bincount(predicted[0], minlength=kinds) @ np.bincount(true, minlength=kinds)
    passed, good = accept[predicted], accept[true]
    is_measured = bool(accept.any())
    return Dependence(
        images=len(chosen),
        by_group=len(np.unique(group)) < len(group),
        left_out=sizes,
        accuracy=_means(right),
        escapes=_means(passed[:, ~good]) if is_measured else None,
        overkill=_means(~passed[:, good]) if is_measured else None,
        chance=float(guessed / len(chosen) ** 2),
        of_some=among is not None and not among.all(),
        p_value=float(stats.binomtest(lost, lost + won, alternative="greater").pvalue)
        if lost + won
        else 1.0,
    )


def _means(hit: NDArray[np.bool_]) -> tuple[float, ...]:
    return tuple(hit.mean(axis=1).tolist())


def nearest_neighbours(
    embedding: NDArray[np.floating], count: int, *, group: NDArray[np.integer] | None = None
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the most similar images of each image, most similar first, and their cosines.

    Coordinates are standardised first. Memory is a block of rows by N, never N by N.

    Args:
        embedding: (N, D), N above `count`.
        count: Neighbours per image.
        group: Group of each image, (N,); images of its own group are no neighbours.

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
        own = np.arange(start, start + len(block))
        key = np.arange(len(unit)) if group is None else group
        block[key[own, None] == key] = -np.inf
        best = np.argpartition(-block, count - 1, axis=1)[:, :count]
        value = np.take_along_axis(block, best, axis=1)
        order = np.argsort(-value, axis=1, kind="stable")
        rows[start : start + _BLOCK] = np.take_along_axis(best, order, axis=1)
        cosine[start : start + _BLOCK] = np.take_along_axis(value, order, axis=1)
    return rows, cosine


def leave_out_predictions(
    embedding: NDArray[np.floating],
    label: NDArray[np.integer],
    left_out: Sequence[NDArray[np.intp]],
) -> NDArray[np.intp]:
    """Return the class of some images as predicted without other images.

    The classifier is a ridge regression of the classes, each of the same weight. It is
    fitted once: predictions without a set S of images follow from the residuals e and the hat
    matrix H as y - (I - H_SS)^-1 e_S.

    Args:
        embedding: (N, D).
        label: Class of each image, (N,), each in [0, K).
        left_out: The sets, M of them; each begins with the row of the image that is predicted.

    Returns:
        Predicted classes, (M,).

    Source: Seber and Lee 2003, Linear Regression Analysis, 10.2, for the closed form.
    """
    feature = _standardised(embedding).astype(np.float64)
    count = np.bincount(label)
    weight = np.sqrt(len(label) / (np.count_nonzero(count) * count[label]))[:, None]
    target = np.eye(len(count))[label]
    design = np.concatenate([feature, np.ones((len(feature), 1))], axis=1) * weight
    gram = design.T @ design
    ridge = _STRENGTH * np.trace(gram) / len(gram) * np.eye(len(gram))
    ridge[-1, -1] = 0  # the intercept is not shrunk
    root = np.linalg.cholesky(gram + ridge)
    half = linalg.solve_triangular(root, design.T, lower=True).T  # H = half half'
    residual = target * weight - half @ (half.T @ (target * weight))
    predicted = np.empty(len(left_out), np.intp)
    sizes = np.array([len(one) for one in left_out])
    for size in np.unique(sizes).tolist():
        places = np.flatnonzero(sizes == size)
        step = max(1, _CELLS // (size * max(size, half.shape[1])))
        for start in range(0, len(places), step):
            some = places[start : start + step]
            members = np.stack([left_out[place] for place in some.tolist()])
            rows = members[:, 0]
            error = _held_out_error(half[members], residual[members])
            predicted[some] = (target[rows] - error / weight[rows]).argmax(axis=1)
    return predicted


def _held_out_error(
    half: NDArray[np.float64], residual: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the first row of (I - H_SS)^-1 e_S of several sets: (n, S, D), (n, S, K) to (n, K)."""
    size, width = half.shape[1:]
    turned = half.transpose(0, 2, 1)
    if size <= width:
        return np.asarray(np.linalg.solve(np.eye(size) - half @ turned, residual)[:, 0])
    inner = np.linalg.solve(np.eye(width) - turned @ half, turned @ residual)
    return np.asarray(residual[:, 0] + np.einsum("nd,ndk->nk", half[:, 0], inner))


def _standardised(embedding: NDArray[np.floating]) -> NDArray[np.float32]:
    wide = embedding.astype(np.float32)
    wide -= wide.mean(axis=0)
    wide /= np.maximum(wide.std(axis=0), 1e-6)
    return wide
