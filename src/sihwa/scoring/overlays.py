"""Overlays: copies of images, tinted where the evidence for their class is."""

import hashlib
import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sihwa.decision import ACCEPT, REJECT, REVIEW
from sihwa.inspector import Inspection, evidence_overlay
from sihwa.scoring.rows import Row
from sihwa.storage import write_bytes

_LONGEST_SIDE = 1024
_QUALITY = 90
CHOICES = ("all", ACCEPT, REJECT, REVIEW)


def write_overlay(
    folder: Path,
    decisions: Sequence[str],
    row: Row,
    image: NDArray[np.uint8],
    inspection: Inspection,
) -> None:
    """Write FOLDER/<decision>/<name>-<digest>.jpg if the row's decision is one of `decisions`.

    The digest is the first 12 hex digits of the SHA-256 of the row's `path`, so that two images
    of one name get two files. An image (H, W, 3) without evidence gets none.
    """
    decision = str(row["decision"])
    if not {"all", decision}.intersection(decisions) or not inspection.evidence.size:
        return
    small = Image.fromarray(image)
    small.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), reducing_gap=2.0)
    file = io.BytesIO()
    tinted = evidence_overlay(np.asarray(small), inspection.evidence)
    Image.fromarray(tinted).save(file, "JPEG", quality=_QUALITY)
    write_bytes(folder / decision / overlay_name(row), file.getvalue())


def overlay_name(row: Row) -> str:
    r"""Return the file name of a row's overlay.

    >>> overlay_name({"path": "line 1/부품.png", "path_bytes": None})
    '부품-9cb87f0c12e2.jpg'
    """
    path = str(row["path"])
    address = str(row["path_bytes"] or path)
    # characters that a file system or a shell might not take are replaced
    stem = re.sub(r"[^\w.-]+", "_", re.split(r"[/\\]", path)[-1].rpartition(".")[0] or path)
    page = f"-page{row['page']}" if row.get("page") else ""
    return f"{stem[-40:]}{page}-{hashlib.sha256(address.encode()).hexdigest()[:12]}.jpg"
