"""Studies as files, and a score table of an inspector's trials."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sihwa.scoring import row_schema

GOLDEN = Path(__file__).parents[2] / "golden" / "jasp_msa_attribute.csv"
"""15 parts, 3 operators, 3 trials. Source: the data set msaAttributeKappa_wide of JASP, module
jaspQualityControl; its figures are in that module's tests, test-msaAttribute.R."""


def write_study(path: Path, rows: Iterable[Iterable[object]], head: str = "") -> Path:
    lines = [head or "part,appraiser,trial,decision,reference"]
    lines += [",".join(map(str, row)) for row in rows]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def score_row(path: str, decision: str, **cells: object) -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys(row_schema(["good"]).names)
    given = {
        "path": path,
        "decision": decision,
        "reason": "made",
        "milliseconds": 1.0,
        "inspector": "a1b2",
        "thresholds": "c3d4",
        "time": "2026-01-02T03:04:05.000+00:00",
        "unknown": 1.0,
    }
    return {**row, **given, **cells}


def write_scores(path: Path, rows: Iterable[Mapping[str, object]]) -> Path:
    pq.write_table(pa.Table.from_pylist([*rows], row_schema(["good"])), path)
    return path
