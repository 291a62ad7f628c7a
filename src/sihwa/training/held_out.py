"""Training images that are held out to choose the epoch by, and the metrics of that choice.

Axes: N images, K classes.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score, log_loss
from sklearn.model_selection import StratifiedGroupKFold

from sihwa.dataset import Manifest
from sihwa.errors import DatasetError


class HeldOutSplit(NamedTuple):
    """Manifest rows of the training split: to fit, and to choose the epoch by."""

    fitted: list[int]
    held_out: list[int]


def hold_out(manifest: Manifest, share: float, seed: int) -> HeldOutSplit:
    """Hold out a share of the training images, stratified by class; no component on both sides.

    Raises:
        DatasetError: A class would have no image on one side.
    """
    rows = np.flatnonzero(manifest.split == "train")
    if not share:
        return HeldOutSplit(rows.tolist(), [])
    label = manifest.label_index[rows]
    component = np.asarray(manifest.component)[rows]
    splitter = StratifiedGroupKFold(max(2, round(1 / share)), shuffle=True, random_state=seed)
    fewest = min(len(set(component[label == kind])) for kind in np.unique(label))
    if fewest >= splitter.get_n_splits():
        fitted, held = next(iter(splitter.split(rows, label, component)))
        kinds = len(manifest.classes)
        if len(set(label[fitted])) == kinds and len(set(label[held])) == kinds:
            return HeldOutSplit(rows[fitted].tolist(), rows[held].tolist())
    raise DatasetError(
        f"training.selection.held_out={share}: a class has {fewest} independent training "
        "image(s), too few to hold any out; use 0, or add images"
    )


def held_out_metrics(logit: NDArray[np.floating], label: NDArray[np.integer]) -> dict[str, float]:
    """Return every metric that an epoch can be chosen by.

    Args:
        logit: (N, K).
        label: Class indices, (N,).
    """
    wide = logit.astype(np.float64)
    probability = np.exp(wide - wide.max(1, keepdims=True))
    probability /= probability.sum(1, keepdims=True)
    top = wide.argmax(1)
    recall = [(top == label)[label == k].mean() for k in np.unique(label)]
    return {
        "log_loss": float(log_loss(label, probability, labels=range(logit.shape[1]))),
        "accuracy": float(accuracy_score(label, top)),
        "balanced_accuracy": float(np.mean(recall)),
        "macro_f1": float(f1_score(label, top, average="macro", zero_division=0)),
    }
