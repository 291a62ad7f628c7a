"""The audit: every detector in turn, the worst finding first.

Axes: N images, D embedding width.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from sihwa.audit.finding import Finding, worst_first
from sihwa.audit.identical_images import find_identical, find_near_identical
from sihwa.audit.inventory import Inventory
from sihwa.audit.odd_images import find_odd_images
from sihwa.audit.out_of_fold import principal_directions
from sihwa.audit.shortcuts import find_shortcuts
from sihwa.audit.split_check import find_cut_groups, find_differing_splits
from sihwa.audit.too_few import find_too_few
from sihwa.audit.wrong_labels import find_wrong_labels
from sihwa.terminal.progress import progress_bar


def audit(
    inventory: Inventory, embedding: NDArray[np.floating], *, test_share: float, seed: int
) -> list[Finding]:
    """Return what could make the figures of a data set wrong, the worst first.

    The same images in the same order give the same findings.

    Args:
        inventory: The images and their facts, N.
        embedding: (N, D), of a backbone not trained on them.
        test_share: Share of the images that will be tested on, if no splits are given.
        seed: Seeds folds and permutations.
    """
    feature = principal_directions(embedding)
    detectors: list[Callable[[], Iterator[Finding]]] = [
        lambda: find_identical(inventory),
        lambda: find_near_identical(inventory),
        lambda: find_cut_groups(inventory),
        lambda: find_too_few(inventory, test_share),
        lambda: find_odd_images(inventory),
        lambda: find_shortcuts(inventory, seed),
        lambda: find_differing_splits(inventory, feature, seed),
        lambda: find_wrong_labels(inventory, feature, seed),
    ]
    found: list[Finding] = []
    with progress_bar("auditing", len(detectors), "checks") as advance:
        for detect in detectors:
            found += detect()
            advance(1)
    return worst_first(found)
