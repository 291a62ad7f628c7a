"""Is one of two inspectors better on the same images? McNemar's exact test, by group if need be.

Axes: N images, G groups.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from sihwa.errors import ShapeError
from sihwa.evaluation.arrays import BoolArray, Float64, Int64, IntArray


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedTest:
    """How two inspectors differ on the same images."""

    only_a: int
    """Images that A alone gets wrong."""
    only_b: int
    """Images that B alone gets wrong."""
    p_value: float
    """Two-sided; 1 if they never differ."""


def mcnemar(wrong_a: BoolArray, wrong_b: BoolArray, group: IntArray | None = None) -> PairedTest:
    """Test whether two inspectors err alike on the same images.

    Without groups this is McNemar's exact test: of the images that one inspector alone gets wrong,
    each is A's or B's with a chance of one half.

    Images of one group are no independent evidence, so a group counts as a whole: the difference
    of its errors, A's minus B's, may have either sign with a chance of one half, for every group
    independently. The p-value is the exact share of all 2^G choices of signs that give a sum at
    least as far from 0 as the one found. No sampling is needed: the differences are whole numbers,
    so the distribution of the sum is a convolution. With one image per group this is McNemar's
    test again.

    The hypothesis tested is that A and B could be swapped in any group. It may also be refused
    where both err equally often, but A on whole groups and B on single images here and there.

    Args:
        wrong_a: Whether A is wrong, (N,).
        wrong_b: Whether B is wrong, (N,).
        group: Group of each image, (N,); None if all images are independent.

    Raises:
        ShapeError: Lengths differ.

    Source: McNemar 1947, Psychometrika 12(2); Fisher 1935, The Design of Experiments, section 21,
    for the signs; Pagano and Tritchler 1983, JASA 78(382), for the convolution. Simulated false
    alarms in tests/unit/evaluation/test_mcnemar.py.

    >>> a, b = np.array([True] * 6 + [False] * 4), np.zeros(10, dtype=np.bool_)
    >>> round(mcnemar(a, b).p_value, 6)
    0.03125
    >>> round(mcnemar(a, b, np.arange(10) // 3).p_value, 6)  # six images, but two parts
    0.5
    """
    if wrong_a.ndim != 1 or wrong_a.shape != wrong_b.shape:
        raise ShapeError(
            f"expected wrong_a and wrong_b (N,), got {wrong_a.shape} and {wrong_b.shape}"
        )
    if group is not None and group.shape != wrong_a.shape:
        raise ShapeError(f"group must have {wrong_a.size} values, got {group.shape}")
    difference = wrong_a.astype(np.int64) - wrong_b
    only_a, only_b = int((difference > 0).sum()), int((difference < 0).sum())
    if group is not None:
        difference = _sums(difference, group)
    return PairedTest(only_a=only_a, only_b=only_b, p_value=_sign_flip(difference))


def _sums(value: Int64, group: IntArray) -> Int64:
    """Return the sum of `value` (N,) in each group, (G,)."""
    _, index = np.unique(group, return_inverse=True)
    total = np.zeros(int(index.max(initial=-1)) + 1, np.int64)
    np.add.at(total, index, value)
    return total


def _sign_flip(difference: Int64) -> float:
    """Return the share of all choices of signs whose sum is at least as far from 0."""
    size = np.abs(difference[difference != 0])
    total = int(size.sum())
    chance = _positive_part(size)
    # a sum of t with a plus is a sum of 2 t - total with signs
    sums = 2 * np.arange(total + 1) - total
    extreme = np.abs(sums) >= abs(int(difference.sum()))
    return float(min(1.0, chance[extreme].sum()))


def _positive_part(size: Int64) -> Float64:
    """Return the chance of each sum of the numbers with a plus, (sum + 1,)."""
    ones = int((size == 1).sum())
    chance = np.zeros(int(size.sum()) + 1)
    chance[: ones + 1] = stats.binom.pmf(np.arange(ones + 1), ones, 0.5)
    for one in size[size > 1].tolist():
        chance[one:] += chance[:-one]  # NumPy reads the right side before it writes
        chance /= 2
    return chance
