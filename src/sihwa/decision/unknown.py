"""When is an image too unlike the training images to be decided?"""

import math

import numpy as np
from numpy.typing import NDArray

from sihwa.errors import ShapeError


def unknown_threshold(score: NDArray[np.floating], rate: float) -> float | None:
    """Return the score above which at most a share `rate` of ordinary images lies.

    The conformal p-value of an image is (1 + number of calibration scores at least as large)
    / (n + 1); above the returned score it is at most `rate`. The promise holds on average over
    calibration sets when the line's images are exchangeable with them.

    The threshold lies halfway between two calibration scores (above the largest, one hundredth of
    it higher), never on one: there the last bit that two runtimes disagree on would decide.

    Args:
        score: Unknown scores of n calibration images, (n,), finite.
        rate: Share of ordinary images that may be called unknown, in [0, 1).

    Returns:
        The threshold, or None when n is too small to promise the rate (n < 1 / rate - 1).

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
    # ordinary scores that may lie at or above an image that is called unknown
    allowed = math.floor(rate * (len(score) + 1) + 1e-9) - 1
    if allowed < 0:
        return None
    last_ordinary = np.sort(score)[::-1][allowed]
    larger = score[score > last_ordinary]
    if not len(larger):
        return float(last_ordinary + abs(last_ordinary) / 100)
    return float((last_ordinary + larger.min()) / 2)
