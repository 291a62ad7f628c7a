"""The content of a report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:  # evaluation needs scipy, which the benchmark page does without
    from sihwa.evaluation import Evaluation, Figure, Similarity

MOST_ERRORS = 24
"""Wrong images that a report shows at most."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ErrorImage:
    """A test image that got a wrong label."""

    image: npt.NDArray[np.uint8]
    """uint8 (H, W, 3), RGB."""
    path: str
    """In the manifest."""
    true_class: str
    predicted_class: str
    probability: float
    """Probability of the top class, in [0, 1]."""
    evidence: npt.NDArray[np.floating]
    """Evidence map of the predicted class, (h, w)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Report:
    """Everything that one page shows."""

    title: str
    evaluation: "Evaluation"
    """On the test images."""
    facts: Sequence[tuple[str, str]]
    """Data set, model, training, seed, versions, date, … as name and value, in this order."""
    split_counts: Mapping[str, Mapping[str, int]]
    """Split → class → number of images."""
    errors: Sequence[ErrorImage]
    """Wrong images, the most confident first, at most `MOST_ERRORS`."""
    curves: Mapping[str, Sequence[float]]
    """Name of a training curve → one value per epoch."""
    similarity: "Similarity"
    """Whether the figures rest on similar images."""
    findings: Sequence[str]
    """What the audit of the images found, one line each, the worst first."""
    robustness: "Mapping[str, Sequence[Figure]]"
    """Kind of corruption → accuracy at each strength; empty if not measured."""
    claims: Sequence[str] = ()
    """What the calibration images prove of the decisions, one sentence each."""
