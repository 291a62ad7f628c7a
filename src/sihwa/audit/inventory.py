"""What the audit looks at: the images with their labels, groups, splits, content and facts.

Axes: N images, K classes.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sihwa.audit.finding import Marked
from sihwa.dataset import ImageFacts, Manifest
from sihwa.evaluation import group_index


@dataclass(frozen=True, eq=False)
class Inventory:
    """A data set under audit."""

    manifest: Manifest
    """Its split is an empty text where no split is given."""
    facts: Sequence[ImageFacts] = field(repr=False)
    """One per image, in the manifest's order."""

    @cached_property
    def path(self) -> list[str]:
        """Path of each image, N."""
        return [str(one) for one in self.manifest.table["path"].to_pylist()]

    @cached_property
    def label(self) -> list[str]:
        """Class of each image, N names."""
        return [str(one) for one in self.manifest.table["label"].to_pylist()]

    @cached_property
    def group(self) -> list[str | None]:
        """Group of each image, N; None without one."""
        return [one and str(one) for one in self.manifest.table["group"].to_pylist()]

    @cached_property
    def component(self) -> NDArray[np.int64]:
        """Number of each image's component, (N,): what groups and equal content link."""
        return group_index(self.manifest.component)

    @cached_property
    def alike(self) -> list[list[int]]:
        """Rows of byte-identical images, a list per content that occurs more than once."""
        return [rows for rows in _rows_by(self._content).values() if len(rows) > 1]

    @cached_property
    def nearly_alike(self) -> list[list[int]]:
        """Rows of near-identical images, one of each content; a list per set of two or more.

        One content with two labels or splits has a row for each of them.
        """
        sets = []
        for rows in _rows_by(self.manifest.table["copy_of"].to_pylist()).values():
            different = {
                (self._content[row], self.label[row], self.manifest.split[row]): row
                for row in reversed(rows)
            }
            if len({self._content[row] for row in rows}) > 1:
                sets.append(sorted(different.values()))
        return sets

    @cached_property
    def _content(self) -> list[str]:
        return [str(one) for one in self.manifest.table["sha256"].to_pylist()]

    @property
    def has_splits(self) -> bool:
        """Whether splits are given."""
        return bool((self.manifest.split != "").any())

    def __len__(self) -> int:
        return len(self.path)

    def fact(self, value: Callable[[ImageFacts], float]) -> NDArray[np.float64]:
        """Return one number of each image's facts, (N,)."""
        return np.array([value(one) for one in self.facts], dtype=np.float64)

    def mark(self, rows: Sequence[int], notes: Sequence[str] = ()) -> tuple[Marked, ...]:
        """Return images of a finding, each by itself; `notes` go below them."""
        texts = notes or [""] * len(rows)
        return tuple(
            Marked(path=self.path[row], label=self.label[row], place=place, note=text)
            for place, (row, text) in enumerate(zip(rows, texts, strict=True))
        )

    def mark_sets(self, sets: Sequence[Sequence[int]], *, keep: int) -> tuple[Marked, ...]:
        """Return images of a finding, each set side by side.

        Args:
            sets: Rows of each set.
            keep: Images of each set that may stay; leaving out the rest settles the finding.
        """
        split = self.manifest.split
        return tuple(
            Marked(
                path=self.path[row],
                label=self.label[row],
                place=place,
                note=f"split {split[row]}" if split[row] else "",
                exclude=number >= keep,
            )
            for place, rows in enumerate(sets)
            for number, row in enumerate(rows)
        )


def _rows_by(key: Sequence[str | None]) -> dict[str, list[int]]:
    """Return the rows of each key; rows without a key (None) are left out."""
    rows = defaultdict(list)
    for row, name in enumerate(key):
        if name is not None:
            rows[name].append(row)
    return dict(rows)


def listed(names: Sequence[str], most: int = 5) -> str:
    """Return names with commas, the rest as a number.

    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def commonest(values: Sequence[object]) -> tuple[object, int]:
    """Return the most frequent value and how often it occurs."""
    return Counter(values).most_common(1)[0]
