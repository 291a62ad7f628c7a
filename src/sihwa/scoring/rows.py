"""The row contract: what is written about every scored file.

Every file gives exactly one row. Columns, in order: path, sha256, size, width, height, decision,
reason, top_class, one `probability_<class>` per class, unknown, box_x0, box_y0, box_x1, box_y1,
milliseconds, inspector, thresholds, time, error.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import pyarrow as pa

from sihwa.inspector import Inspection

__all__ = ["Row", "make_row", "row_schema"]

Row = dict[str, str | int | float | None]


def row_schema(classes: Sequence[str]) -> pa.Schema:
    """Return names and types of a row's columns, for K classes.

    `size` is in bytes, `width`, `height` and the box in pixels, `milliseconds` is the picture's
    share of its batch from decoding to decision, `time` is UTC in ISO 8601.
    """
    return pa.schema(
        [
            pa.field("path", pa.string(), nullable=False),
            pa.field("sha256", pa.string()),
            pa.field("size", pa.int64()),
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
    classes: Sequence[str],
    *,
    path: str,
    sha256: str | None,
    size: int | None,
    shape: tuple[int, ...] | None,
    milliseconds: float,
    inspector: str,
    thresholds: str,
) -> Row:
    """Return the row of one file; what is unknown of an unread one is None."""
    probability = inspection.probability.tolist() or [None] * len(classes)
    box = inspection.box or (None,) * 4
    return {
        "path": path,
        "sha256": sha256,
        "size": size,
        "width": shape[1] if shape else None,
        "height": shape[0] if shape else None,
        "decision": inspection.decision.outcome,
        "reason": inspection.decision.reason,
        "top_class": inspection.top_class,
        **{f"probability_{n}": p for n, p in zip(classes, probability, strict=True)},
        "unknown": inspection.unknown,
        **{f"box_{e}": v for e, v in zip(("x0", "y0", "x1", "y1"), box, strict=True)},
        "milliseconds": round(milliseconds, 3),
        "inspector": inspector,
        "thresholds": thresholds,
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "error": inspection.error,
    }
