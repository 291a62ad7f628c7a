"""Classes with too few independent images for what a run will claim.

Axes: N images, K classes.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sihwa.audit.finding import Finding
from sihwa.audit.inventory import Inventory, listed
from sihwa.dataset import LEAST
from sihwa.evaluation import images_to_prove, upper_bound
from sihwa.terminal.names import counted

_WANTED = 10
"""In the test; with fewer, the interval of a recall is wider than 30 points."""
_PROVEN = 0.01, 0.05


def find_too_few(inventory: Inventory, test_share: float) -> Iterator[Finding]:
    """Yield classes that cannot be trained or tested, and the best bound that escapes can get.

    Images of one component count once. Without given splits the test has the share asked for, as
    `assign_splits` draws it.
    """
    classes, split = inventory.manifest.classes, inventory.manifest.split
    is_test = split == "test"
    # splits that are not given are drawn from the training images
    total = _components(inventory, np.isin(split, ("", "train")))
    yield from _too_few_to_split(inventory, total)
    tested = (
        _components(inventory, is_test)
        if is_test.any()
        else [min(max(round(test_share * n), 1), max(n - LEAST["train"], 0)) for n in total]
    )
    few = [f"{name} ({n})" for name, n in zip(classes, tested, strict=True) if n < _WANTED]
    if few:
        yield Finding(
            kind="too few to test",
            severity="warning",
            message=f"the test has less than {_WANTED} independent images of {listed(few)}, so "
            f"{'its recall is' if len(few) == 1 else 'their recall is'} hardly known",
            advice=f"Add images of {'this class' if len(few) == 1 else 'these classes'}",
            figure=float(len(few)),
        )
    yield from _unproven(inventory, tested)


def _too_few_to_split(inventory: Inventory, total: list[int]) -> Iterator[Finding]:
    """Yield what `assign_splits` refuses, K numbers of components to draw from."""
    classes, given = inventory.manifest.classes, set(inventory.manifest.split.tolist())
    every = sum(n for name, n in LEAST.items() if name == "train" or name not in given)
    lacking = [
        f"{name} ({n})" for name, n in zip(classes, total, strict=True) if n < LEAST["train"]
    ]
    needs = f"a class needs {LEAST['train']} independent images in training"
    if not lacking and max(total) < every:
        lacking = [f"{name} ({n})" for name, n in zip(classes, total, strict=True)]
        needs = f"some class needs {every} independent images, so that each split has one"
    grouped = len({group for group in inventory.group if group})
    smaller = f"Choose smaller groups than these {grouped} with dataset.group, or add images"
    if lacking:
        yield Finding(
            kind="too few to split",
            severity="severe",
            message=f"{listed(lacking)}: {needs}, as identical ones and those of one group count "
            "once",
            advice=smaller
            if grouped
            else "Add images, or leave the class out with dataset.leave_out=[NAME]",
            figure=float(len(lacking)),
        )


def _unproven(inventory: Inventory, tested: list[int]) -> Iterator[Finding]:
    manifest = inventory.manifest
    accepted = [name in manifest.accept_classes for name in manifest.classes]
    count = sum(n for n, good in zip(tested, accepted, strict=True) if not good)
    rate, of = ("escapes", " of defects") if any(accepted) else ("errors", "")
    best = upper_bound(0, count) if count else 1.0
    if best <= _PROVEN[0]:
        return
    images = f"{counted(count, 'independent test image')}{of}"
    yield Finding(
        kind="little can be proven",
        severity="warning" if best > _PROVEN[1] else "note",
        message=f"even without one error, {images} only {'proves' if count == 1 else 'prove'} "
        f"that {rate} are at most {100 * best:.1f} %"
        if count
        else f"there is no independent test image{of}, so nothing is known about {rate}",
        advice=f"To prove 1 % takes {images_to_prove(_PROVEN[0])} of them",
        figure=best,
    )


def _components(inventory: Inventory, rows: NDArray[np.bool_]) -> list[int]:
    """Return the number of components of each class among some rows, K."""
    label = inventory.manifest.label_index
    return [
        len(np.unique(inventory.component[rows & (label == kind)]))
        for kind in range(len(inventory.manifest.classes))
    ]
