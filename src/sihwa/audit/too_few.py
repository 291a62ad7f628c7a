"""Classes with too few independent images for what a run will claim.

Axes: N images, K classes.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sihwa.audit.finding import Finding
from sihwa.audit.inventory import Inventory, counted, listed

_LEAST = 4
"""Two to train on, one to calibrate, one to test."""
_WANTED = 10
"""In the test; with fewer, the interval of a recall is wider than 30 points."""
_PROVEN = 0.01, 0.05


def find_too_few(inventory: Inventory, test_share: float) -> Iterator[Finding]:
    """Yield classes that cannot be split or tested, and the best bound that escapes can get.

    Images of one component count once. Without given splits the test has the share asked for.

    Source: without an error among n, the upper bound at 95 % confidence is about 3 / n: Hanley and
    Lippman-Hand 1983, "If nothing goes wrong, is everything all right?".
    """
    classes = inventory.manifest.classes
    total = _components(inventory, np.full(len(inventory), True))
    lacking = [f"{name} ({n})" for name, n in zip(classes, total, strict=True) if n < _LEAST]
    if lacking:
        yield Finding(
            kind="too few to split",
            severity="severe",
            message=f"{listed(lacking)}: a class needs {_LEAST} independent images, as identical "
            "ones and those of one group count once",
            advice="Add images, or remove the class",
            figure=float(_LEAST - min(total)),
        )
    test = inventory.manifest.split == "test"
    tested = (
        _components(inventory, test) if test.any() else [round(test_share * one) for one in total]
    )
    few = [f"{name} ({n})" for name, n in zip(classes, tested, strict=True) if n < _WANTED]
    if few:
        yield Finding(
            kind="too few to test",
            severity="warning",
            message=f"the test has less than {_WANTED} independent images of {listed(few)}, so "
            "its recall is hardly known",
            advice="Add images of these classes",
            figure=float(len(few)),
        )
    yield from _unproven(inventory, tested)


def _unproven(inventory: Inventory, tested: list[int]) -> Iterator[Finding]:
    manifest = inventory.manifest
    accepted = [name in manifest.accept_classes for name in manifest.classes]
    count = sum(n for n, good in zip(tested, accepted, strict=True) if not good)
    rate = "escapes" if any(accepted) else "errors"
    best = 3 / count if count else 1.0
    if best <= _PROVEN[0]:
        return
    needed = math.ceil(3 / _PROVEN[0])
    yield Finding(
        kind="little can be proven",
        severity="warning" if best > _PROVEN[1] else "note",
        message=f"even without one error, {counted(count, 'independent test image')} "
        f"{'of defects ' if any(accepted) else ''}only prove that {rate} are below "
        f"{100 * min(best, 1):.1f} %",
        advice=f"To prove 1 % takes {needed} of them",
        figure=min(best, 1.0),
    )


def _components(inventory: Inventory, rows: NDArray[np.bool_]) -> list[int]:
    """Return the number of components of each class among some rows, K."""
    label = inventory.manifest.label_index
    return [
        len(np.unique(inventory.component[rows & (label == kind)]))
        for kind in range(len(inventory.manifest.classes))
    ]
