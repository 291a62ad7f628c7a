"""Why an inspector decided an image as it did, and which training images it resembles.

Axes: N training images, D embedding width.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sihwa.dataset import read_manifest
from sihwa.decision import Policy, ThresholdPolicy, TopClassPolicy, defect_probability
from sihwa.errors import DatasetError, UnreadableImage
from sihwa.images import batches_by_size, read_image
from sihwa.inspector import Inspection, Inspector

_NEAREST = 6


@dataclass(frozen=True)
class Neighbour:
    """A training image that resembles the one that is explained."""

    path: str
    label: str
    similarity: float
    """Cosine of the standardised embeddings, in [-1, 1]."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """A decision with what led to it."""

    path: Path
    image: NDArray[np.uint8]
    """(H, W, 3), RGB."""
    inspection: Inspection
    rules: tuple[str, ...]
    """What the policy compares, with the value of this image."""
    neighbours: tuple[Neighbour, ...] = ()


def explain(
    inspector: Inspector,
    path: Path,
    run: Path | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Explanation:
    """Explain the decision about one image.

    Args:
        inspector: Loaded.
        path: The image.
        run: Folder of the run that made the inspector; its training images are compared. None
            compares none.
        advance: Called with a number of training images when they are compared.

    Raises:
        UnreadableImage: The image cannot be read.
        DatasetError: No training image of the run can be read any more.
    """
    image = read_image(str(path), inspector.decoding)
    (inspection,) = inspector.predict([image])
    rules = tuple(decision_rules(inspector.policy, inspection))
    nearest = () if run is None else _nearest(inspector, inspection.embedding, run, advance)
    return Explanation(path, image, inspection, rules, nearest)


def decision_rules(policy: Policy, inspection: Inspection) -> list[str]:
    """Return what the policy compares for an image, one line each."""
    lines = []
    if isinstance(policy, ThresholdPolicy):
        (defect,) = defect_probability(
            inspection.probability[None], policy.classes, policy.accept_classes
        )
        lines.append(
            f"P(defect) is {defect:.4g}: accepted up to {policy.accept_at_most:.4g}, rejected from "
            f"{policy.reject_at_least:.4g}"
        )
    elif isinstance(policy, TopClassPolicy) and policy.least_probability is not None:
        lines.append(
            f"probability of the top class is {inspection.probability.max():.4g}: reviewed below "
            f"{policy.least_probability:.4g}"
        )
    limit = policy.unknown_threshold
    if inspection.unknown is not None:
        rule = "never reviewed for it" if limit is None else f"reviewed above {limit:.4g}"
        lines.append(f"unknown score is {inspection.unknown:.4g}: {rule}")
    return lines


def _nearest(
    inspector: Inspector, embedding: NDArray[np.float32], run: Path, advance: Callable[[int], None]
) -> tuple[Neighbour, ...]:
    manifest = read_manifest(run / "manifest.parquet")
    train = manifest.take(np.flatnonzero(manifest.split == "train").tolist())
    found: dict[int, NDArray[np.float32]] = {}

    def images() -> Iterator[tuple[int, NDArray[np.uint8]]]:
        for row in range(train.table.num_rows):
            try:
                yield row, train.read_image(row)
            except UnreadableImage:
                advance(1)  # it moved or changed; the others still help

    for rows, batch in batches_by_size(images()):
        found |= {
            row: one.embedding
            for row, one in zip(rows, inspector.predict_batch(batch), strict=True)
        }
        advance(len(rows))
    if not found:
        raise DatasetError(f"{run}: none of its training images is where it was")
    rows = list(found)
    known = np.stack([found[row] for row in rows]).astype(np.float64)
    similarity = _similarity(known, embedding.astype(np.float64))
    labels = train.table["label"].to_pylist()
    return tuple(
        Neighbour(train.files[rows[place]], labels[rows[place]], float(similarity[place]))
        for place in np.argsort(-similarity, kind="stable")[:_NEAREST].tolist()
    )


def _similarity(known: NDArray[np.float64], asked: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cosine of each row (N, D) with one embedding (D,), coordinates standardised."""
    mean, deviation = known.mean(0), known.std(0) + 1e-9
    rows, one = (known - mean) / deviation, (asked - mean) / deviation
    length = np.linalg.norm(rows, axis=1) * np.linalg.norm(one)
    result: NDArray[np.float64] = rows @ one / np.maximum(length, 1e-30)
    return result
