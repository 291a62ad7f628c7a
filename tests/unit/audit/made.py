"""Data sets for the audit, made without image files."""

from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sihwa.audit import Finding, Inventory
from sihwa.dataset import ImageFacts, Manifest
from sihwa.dataset.manifest import MANIFEST_SCHEMA

CLASSES = ("good", "scratch", "dent")


def made_facts(**changes: object) -> ImageFacts:
    facts = ImageFacts(
        width=200, height=100, format="JPEG", mode="L", bits=8, camera="",
        mean=(120.0, 120.0, 120.0), border=118.0, contrast=30.0, dark=0.0, bright=0.0,
        sharpness=20.0, noise=3.0,
    )  # fmt: skip
    return msgspec.structs.replace(facts, **changes)


def varied_facts(count: int, seed: int = 0) -> list[ImageFacts]:
    """Return facts that differ a little from image to image."""
    rng = np.random.default_rng(seed)
    return [
        made_facts(
            mean=(grey, grey, grey),
            border=grey + rng.normal(),
            contrast=rng.uniform(25, 35),
            sharpness=rng.uniform(15, 25),
            noise=rng.uniform(2, 4),
        )
        for grey in rng.normal(120, 8, count).tolist()
    ]


def made_inventory(
    label: Sequence[str], facts: Sequence[ImageFacts] | None = None, **columns: Sequence[str | None]
) -> Inventory:
    """Return images with these labels; `path`, `sha256`, `group` and `split` where given."""
    count = len(label)
    facts = facts or varied_facts(count)
    values: dict[str, Sequence[object]] = {
        "path": [f"/parts/{row:04d}.jpg" for row in range(count)],
        "label": label,
        "group": [None] * count,
        "split": [""] * count,
        "sha256": [f"{row:064x}" for row in range(count)],
        "width": [one.width for one in facts],
        "height": [one.height for one in facts],
        "boxes": [None] * count,
        "copy_of": [None] * count,
        "similar": [None] * count,
        "path_bytes": [None] * count,
        "exif_time": [None] * count,
        **columns,
    }
    classes = tuple(name for name in CLASSES if name in label)
    table = pa.table(values, schema=MANIFEST_SCHEMA)
    return Inventory(Manifest(table, "made", classes, ("good",)), facts)


def made_labels(count: int) -> list[str]:
    """Return labels of all classes in turn."""
    return [CLASSES[row % len(CLASSES)] for row in range(count)]


def made_embedding(
    label: Sequence[str], width: int = 20, distance: float = 6.0, seed: int = 0
) -> NDArray[np.float64]:
    """Return embeddings (N, width): a cloud per class, `distance` deviations from the middle."""
    rng = np.random.default_rng(seed)
    index = np.array([CLASSES.index(one) for one in label])
    return np.asarray(rng.normal(size=(len(label), width)) + distance * np.eye(3, width)[index])


def only(findings: Sequence[Finding], kind: str) -> Finding:
    """Return the one finding of a kind."""
    (found,) = [one for one in findings if one.kind == kind]
    return found


def kinds(findings: Sequence[Finding]) -> set[str]:
    return {one.kind for one in findings}
