"""Suspected wrong labels: confident learning on probabilities that have not seen the image.

Axes: N images, K classes.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sihwa.audit.finding import Finding, Marked
from sihwa.audit.inventory import Inventory
from sihwa.audit.out_of_fold import FOLDS, assign_fold, out_of_fold_scores
from sihwa.evaluation import fit_temperature, softmax
from sihwa.terminal.names import counted

_LEAST_IMAGES = 50
_PASSES = 2
"""The second pass is fitted without the images that the first one suspects."""
_MOST_LIKELY = 0.25
"""Most probable that the label of a suspected image may be, beside the other class."""


def find_wrong_labels(
    inventory: Inventory, feature: NDArray[np.float64], seed: int
) -> Iterator[Finding]:
    """Yield one finding with the images whose label a linear classifier confidently contradicts.

    Args:
        inventory: The images; those of one component are never on both sides.
        feature: Embeddings of a backbone not trained on them, as of `principal_directions`, (N, D).
        seed: Seeds the folds.
    """
    label = inventory.manifest.label_index
    fold = assign_fold(label, inventory.component, FOLDS, seed)
    if len(label) < _LEAST_IMAGES or len(np.unique(fold)) < FOLDS:
        return
    every = np.arange(len(label))
    fitted = np.full(len(label), True)
    for _ in range(_PASSES):
        score = out_of_fold_scores(feature, label, fold, fitted)
        probability = softmax(score / fit_temperature(score[fitted], label[fitted]))
        suspected = suspected_labels(probability, label)
        fitted = probability[every, label] >= _MOST_LIKELY * probability[every, suspected]
    suspected[fitted] = label[fitted]
    rows = np.flatnonzero(suspected != label)
    if not len(rows):
        return
    margin = probability[rows, suspected[rows]] - probability[rows, label[rows]]
    rows = rows[np.argsort(-margin, kind="stable")]
    share = len(rows) / len(label)
    yield Finding(
        kind="suspected wrong labels",
        severity="warning",
        message=f"{counted(len(rows), 'image')} of {len(label):,} ({100 * share:.1f} %): "
        "another class is much likelier to a linear classifier that has not seen them",
        advice="Look at them: the label may be wrong, or the image hard",
        figure=share,
        images=tuple(_mark(inventory, row, suspected, probability) for row in rows.tolist()),
    )


def suspected_labels(
    probability: NDArray[np.floating], label: NDArray[np.integer]
) -> NDArray[np.intp]:
    """Return the class that each image most likely has, (N,); its label where nothing speaks.

    An image counts towards another class if its probability reaches what images labelled so have
    on average, and if that is the most probable class that does.

    Args:
        probability: Out-of-fold probabilities, (N, K).
        label: Class by its label, (N,), each in [0, K).

    Source: Northcutt, Jiang and Chuang 2021, "Confident learning", JAIR 70, the confident joint.

    >>> probability = np.array([[0.9, 0.1], [0.2, 0.8], [0.05, 0.95]])
    >>> suspected_labels(probability, np.array([0, 1, 0])).tolist()
    [0, 1, 1]
    """
    kinds = probability.shape[1]
    threshold = np.array(
        [probability[label == k, k].mean() if (label == k).any() else np.inf for k in range(kinds)]
    )
    confident = np.where(probability >= threshold - 1e-9, probability, -1.0)
    best = confident.argmax(axis=1)
    return np.asarray(np.where(confident.max(axis=1) < 0, label, best), np.intp)


def _mark(
    inventory: Inventory, row: int, suspected: NDArray[np.intp], probability: NDArray[np.floating]
) -> Marked:
    name = inventory.manifest.classes[suspected[row]]
    return Marked(
        path=inventory.path[row],
        label=inventory.label[row],
        place=row,
        note=f"looks like {name}, {100 * probability[row, suspected[row]]:.0f} %",
        suggested_label=name,
    )
