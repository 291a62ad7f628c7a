"""Which of two inspectors is better on the same images, figure by figure.

Axes: N images.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sihwa.evaluation import PairedTest, group_index, mcnemar
from sihwa.terminal.names import counted

LEVEL = 0.01
"""Greatest p-value that counts as a difference: five figures together raise a false alarm at most
once in twenty times."""


@dataclass(frozen=True, eq=False)
class Judged:
    """What one inspector made of N labelled images."""

    outcome: NDArray[np.str_]
    """`accept`, `reject` or `review`, (N,)."""
    is_wrong: NDArray[np.bool_]
    """Whether the top class is not the true class, (N,)."""
    is_good: NDArray[np.bool_] | None
    """Whether the true class is an accept class, (N,); None without accept classes."""


@dataclass(frozen=True)
class PairedVerdict:
    """How two inspectors compare in one figure; fewer occurrences are better."""

    name: str
    """`escapes`, `overkill`, `review` or `wrong_classes`."""
    images: int
    """Images that can show it."""
    groups: int
    """Groups of these images."""
    one: int
    """Occurrences with the first inspector."""
    other: int
    """Occurrences with the second inspector."""
    test: PairedTest

    @property
    def verdict(self) -> str:
        """Tell how the first inspector compares with the second, in plain words."""
        if self.test.p_value <= LEVEL:
            better = "better" if self.test.only_a < self.test.only_b else "worse"
            return f"{better} (p = {self.test.p_value:.2g})"
        if not self.test.only_a + self.test.only_b:
            return f"the same on {self._size}"
        return f"cannot be told with {self._size} (p = {self.test.p_value:.2g})"

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "figure": self.name,
            "images": self.images,
            "groups": self.groups,
            "this": self.one,
            "other": self.other,
            "only_this": self.test.only_a,
            "only_other": self.test.only_b,
            "p_value": self.test.p_value,
            "verdict": self.verdict,
        }

    @property
    def _size(self) -> str:
        images = counted(self.images, "image")
        if self.groups == self.images:
            return images
        return f"{images} of {counted(self.groups, 'part')}"


def compare_judged(one: Judged, other: Judged, group: Sequence[str]) -> list[PairedVerdict]:
    """Compare two inspectors on the same images: escapes, overkill and review.

    Without accept classes, which they must share, wrong top classes take the place of escapes and
    overkill.

    Args:
        one: Of the inspector that is called better or worse, N images.
        other: Of the one that it is compared with, N images.
        group: Group of each image, N names.
    """
    number = group_index(group)
    every = np.ones(len(number), np.bool_)
    rows = [("review", one.outcome == "review", other.outcome == "review", every)]
    if one.is_good is None:
        rows.insert(0, ("wrong_classes", one.is_wrong, other.is_wrong, every))
    else:
        for name, outcome, among in (
            ("overkill", "reject", one.is_good),
            ("escapes", "accept", ~one.is_good),
        ):
            rows.insert(0, (name, one.outcome == outcome, other.outcome == outcome, among))
    return [
        _verdict(name, mine, its, number, among) for name, mine, its, among in rows if among.any()
    ]


def _verdict(
    name: str,
    one: NDArray[np.bool_],
    other: NDArray[np.bool_],
    number: NDArray[np.int64],
    among: NDArray[np.bool_],
) -> PairedVerdict:
    mine, its, group = one[among], other[among], number[among]
    groups = len(np.unique(group))
    return PairedVerdict(
        name=name,
        images=len(group),
        groups=groups,
        one=int(mine.sum()),
        other=int(its.sum()),
        test=mcnemar(mine, its, group if groups < len(group) else None),
    )
