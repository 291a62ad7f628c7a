"""The unknown score: how unlike the training images an image is, and how much is too much.

`fit_unknown` learns the score's parameters, `sihwa.model.UnknownScore` computes it inside the
network, and `unknown_threshold` sets the score above which an image goes to review.

Axes: N images, D embedding width, K classes, R directions.
"""

import math

import numpy as np
from numpy.typing import NDArray

from sihwa.errors import ShapeError

Array = NDArray[np.floating]
_FAR = 2.0
_BETWEEN = 0.5
"""Weight of the directions in which the classes differ, beside 1 for all directions together. A
defect of a new kind often lies between known ones, where a few directions tell: see
docs/decisions/0022-unknown-kinds.md."""
_NO_VARIANCE = 1e-10  # share of the greatest variance: float32 embeddings differ by 1e-7


def fit_unknown(
    embedding: Array, label: NDArray[np.integer], directions: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fit class centres and their shared covariance to training images.

    The squared score is a weighted mean of two squared Mahalanobis distances to a class centre, in
    units of a direction's variance: over all directions, and over those K - 1 in which the class
    centres differ (of linear discriminant analysis). With two classes there is one such direction,
    which the probability measures already, so it is left out.

    The covariance is shrunk (Ledoit-Wolf), because there are often fewer images than coordinates.
    Directions in which the training images do not vary all have one variance then. Where R < D,
    they are left out: which of them were kept would depend on rounding.

    Args:
        embedding: Embeddings of the training images, (N, D).
        label: Class indices, (N,); each of the K classes occurs.
        directions: At most this many directions R in all.

    Returns:
        The weighted whitening projection (D, ≤ R) and the projected class centres (K, ≤ R).

    Source: Lee et al. 2018, arXiv 1807.03888, for all directions; the rest is ours.
    """
    wide = embedding.astype(np.float64)
    centre = np.stack([wide[label == index].mean(0) for index in range(label.max() + 1)])
    residual = wide - centre[label]
    if not residual.any():
        # one image per class leaves no spread within classes: use the spread between them
        residual = wide - wide.mean(0)
    variance, direction = np.linalg.eigh(_ledoit_wolf(residual))
    # a direction without any variance would make every speck of dust look infinitely strange
    white = direction / np.sqrt(np.maximum(variance, 1e-9 * max(variance[-1], 1e-30)))
    between = white @ _between(centre @ white)[:, : directions // 2]
    directions = min(directions - between.shape[1], len(variance))
    if directions < len(variance):
        rank = int(np.linalg.matrix_rank(residual.T @ residual, rtol=_NO_VARIANCE, hermitian=True))
        directions = max(1, min(directions, rank))
    parts = [(white[:, len(variance) - directions :], 1.0), (between, _BETWEEN)]
    used = [(one, weight) for one, weight in parts if one.shape[1]]
    columns = sum(one.shape[1] for one, _ in used)
    total = sum(weight for _, weight in used)
    projection = np.hstack(
        [one * np.sqrt(weight / total * columns / one.shape[1]) for one, weight in used]
    )
    return projection.astype(np.float32), (centre @ projection).astype(np.float32)


def _between(centre: Array) -> Array:
    """Return the directions in which whitened class centres (K, D) differ, (D, < K); see above."""
    if len(centre) < 3:
        return np.zeros((centre.shape[1], 0))
    _, size, direction = np.linalg.svd(centre - centre.mean(0), full_matrices=False)
    differs = size > 1e-6 * max(size[0], 1e-30)
    return np.asarray(direction[: len(centre) - 1][differs[: len(centre) - 1]].T)


def _ledoit_wolf(residual: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the covariance (D, D) of centred rows (N, D), shrunk towards a multiple of identity.

    Source: Ledoit and Wolf 2004, A well-conditioned estimator for large-dimensional covariance
    matrices, lemmas 3.2 to 3.4; `sklearn.covariance.ledoit_wolf` computes the same.
    """
    count, width = residual.shape
    covariance: NDArray[np.float64] = residual.T @ residual / count
    mean_variance = np.trace(covariance) / width
    distance = np.square(covariance).sum() - width * mean_variance**2
    if distance <= 0:
        return covariance
    norms = np.square(residual).sum(1)
    error = (np.square(norms).mean() - np.square(covariance).sum()) / count
    shrinkage = min(1.0, error / distance)
    shrunk: NDArray[np.float64] = (1 - shrinkage) * covariance
    shrunk[np.diag_indices(width)] += shrinkage * mean_variance
    return shrunk


def unknown_threshold(score: Array, rate: float) -> float | None:
    """Return the score that at most a share `rate` of ordinary images exceeds.

    The conformal p-value of an image is (1 + number of calibration scores at least as large)
    / (n + 1); above the returned score it is at most `rate`. This holds on average over
    calibration sets, if the line's images are exchangeable with them.

    The threshold is the midpoint between two calibration scores (or 1 % above the largest), never
    a score itself: there the last bit, in which two runtimes differ, would decide.

    Args:
        score: Unknown scores of n calibration images, (n,), finite.
        rate: Share of ordinary images that may be called unknown, in [0, 1).

    Returns:
        The threshold, or None if n is too small to promise the rate (n < 1 / rate - 1).

    Raises:
        ShapeError: The scores are not (n,), or not finite, or the rate is out of range.

    Source: Vovk, Gammerman and Shafer 2005, Algorithmic Learning in a Random World.

    >>> unknown_threshold(np.arange(199.0), 0.01)
    197.5
    >>> unknown_threshold(np.arange(50.0), 0.01) is None
    True
    """
    if score.ndim != 1 or not np.isfinite(score).all():
        raise ShapeError(f"score must be (n,) and finite but got {score.shape}")
    if not 0 <= rate < 1:
        raise ShapeError(f"rate must be in [0, 1) but got {rate}")
    # number of calibration scores that may be at least as large as that of an unknown image
    allowed = math.floor(rate * (len(score) + 1) + 1e-9) - 1
    if allowed < 0:
        return None
    last_ordinary = np.sort(score)[::-1][allowed]
    larger = score[score > last_ordinary]
    if not len(larger):
        return float(last_ordinary + abs(last_ordinary) / 100)
    return float((last_ordinary + larger.min()) / 2)


def far_threshold(score: Array) -> float:
    """Return the score beyond which an image is far from all that was seen.

    For when there are too few calibration images for `unknown_threshold`: twice the greatest of
    their scores, (n,), n at least 1. No rate is promised. Black, white and noisy images have
    scores several times as great.
    """
    return float(_FAR * max(score.max(), np.finfo(np.float32).tiny))
