"""The report of one run: what goes in, and writing the page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sihwa.storage import write_text

if TYPE_CHECKING:  # evaluation needs scipy, which a report has no use for
    from sihwa.evaluation import Evaluation, Figure


@dataclass(frozen=True, kw_only=True, eq=False)
class ErrorImage:
    """An image that was named wrong."""

    image: npt.NDArray[np.uint8]
    """uint8 (H, W, 3), RGB."""
    path: str
    """Where it lies, as the manifest has it."""
    true_class: str
    """What its label says."""
    predicted_class: str
    """What the inspector said."""
    probability: float
    """How sure the inspector was of it, in [0, 1]."""
    evidence: npt.NDArray[np.floating] | None = None
    """(h, w): where the inspector saw the predicted class; None for no map."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Report:
    """Everything one page shows."""

    title: str
    """The page's heading."""
    evaluation: "Evaluation"
    """The figures, on the test images."""
    facts: Sequence[tuple[str, str]] = ()
    """Data set, model, training, seed, versions, date, … as name and value, in this order."""
    split_counts: Mapping[str, Mapping[str, int]] | None = None
    """Images by split, then by class; None leaves the table out."""
    errors: Sequence[ErrorImage] = ()
    """Wrong images, in any order; the most confident are shown."""
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """What was measured while training: name → one value per epoch."""
    robustness: "Mapping[str, Sequence[Figure]]" = field(default_factory=dict)
    """Accuracy of the same test under corruption: its kind → one figure per strength."""
    notes: Sequence[str] = ()
    """Further paragraphs on what the figures do and do not prove."""


def write_report(path: Path, report: Report) -> None:
    """Write the report as one HTML page that needs nothing else: no file, no network.

    Args:
        path: The page; replaced whole, or not at all.
        report: What to show; names and paths may hold any character.

    Raises:
        StorageError: The file system refused.
        ShapeError: An image or its evidence has the wrong shape.
    """
    # Jinja2 takes a tenth of a second, which the terminal table should not wait for.
    from sihwa.reporting.page import render

    # A file name that is no valid text reaches Python with lone surrogates; UTF-8 has none.
    readable = render(report).encode("utf-8", "backslashreplace").decode("utf-8")
    write_text(path, readable)
