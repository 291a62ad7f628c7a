"""The row contract: the columns of every scored image.

docs/row-contract.md describes every column; a test holds it to this schema.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pyarrow as pa

from sihwa.images import page_address
from sihwa.inspector import Inspection
from sihwa.terminal.names import name_of_text, text_of_name

Row = dict[str, str | int | float | None]

KEY_COLUMNS = (
    "path", "path_bytes", "page", "sha256", "size", "modified_ns", "decision", "top_class",
    "error",
)  # fmt: skip
"""The columns that resuming a table and counting its rows need."""

ROW_VERSION = 2
"""Raised when columns or files of a table change; a table of another version is not resumed."""


class Facts(NamedTuple):
    """What is known of a file without the inspector; None if it could not be read."""

    path: str
    """Its address, as the operating system or the archive spells it."""
    page: int | None = None
    pages: int | None = None
    sha256: str | None = None
    size: int | None = None
    modified_ns: int | None = None
    width: int | None = None
    height: int | None = None


def row_schema(classes: Sequence[str]) -> pa.Schema:
    """Return names and types of a row's columns, in order, for K classes."""
    return pa.schema(
        [
            pa.field("path", pa.string(), nullable=False),
            pa.field("path_bytes", pa.string()),
            pa.field("page", pa.int32()),
            pa.field("pages", pa.int32()),
            pa.field("sha256", pa.string()),
            pa.field("size", pa.int64()),
            pa.field("modified_ns", pa.int64()),
            pa.field("width", pa.int32()),
            pa.field("height", pa.int32()),
            pa.field("decision", pa.string(), nullable=False),
            pa.field("reason", pa.string(), nullable=False),
            pa.field("top_class", pa.string()),
            *(pa.field(f"probability_{name}", pa.float32()) for name in classes),
            pa.field("unknown", pa.float32()),
            *(pa.field(f"box_{edge}", pa.int32()) for edge in ("x0", "y0", "x1", "y1")),
            pa.field("milliseconds", pa.float32(), nullable=False),
            pa.field("inspector", pa.string(), nullable=False),
            pa.field("thresholds", pa.string(), nullable=False),
            pa.field("time", pa.string(), nullable=False),
            pa.field("error", pa.string()),
        ]
    )


def make_row(
    inspection: Inspection,
    facts: Facts,
    classes: Sequence[str],
    *,
    milliseconds: float,
    inspector: str,
    thresholds: str,
) -> Row:
    """Return the row of one image; unknown values are None."""
    probability = inspection.probability.tolist() or [None] * len(classes)
    if not all(map(_is_finite, probability)):  # JSON has no NaN; the reason tells
        probability = [p if _is_finite(p) else None for p in probability]
    box = inspection.box or (None,) * 4
    address = facts.path if facts.page is None else page_address(facts.path, facts.page)
    path, path_bytes = text_of_name(address)
    return {
        "path": path,
        "path_bytes": path_bytes,
        "page": facts.page,
        "pages": facts.pages,
        "sha256": facts.sha256,
        "size": facts.size,
        "modified_ns": facts.modified_ns,
        "width": facts.width,
        "height": facts.height,
        "decision": inspection.decision.outcome,
        "reason": inspection.decision.reason,
        "top_class": inspection.top_class,
        **{f"probability_{n}": p for n, p in zip(classes, probability, strict=True)},
        "unknown": inspection.unknown if _is_finite(inspection.unknown) else None,
        **{f"box_{e}": v for e, v in zip(("x0", "y0", "x1", "y1"), box, strict=True)},
        "milliseconds": round(milliseconds, 3),
        "inspector": inspector,
        "thresholds": thresholds,
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "error": inspection.error and text_of_name(inspection.error)[0],
    }


def file_of_row(row: Mapping[str, Any]) -> str:
    r"""Return the file of a row, as the operating system spells it.

    >>> file_of_row({"path": "스캔.tif#page=2", "path_bytes": None, "page": 2})
    '스캔.tif'
    >>> row = {"path": "\\xff.png", "path_bytes": "ff2e706e67", "page": None}
    >>> file_of_row(row)
    '\udcff.png'
    """
    raw, page = row["path_bytes"], row["page"]
    address = name_of_text(row["path"], raw)
    return address if page is None else address.removesuffix(page_address("", page))


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
