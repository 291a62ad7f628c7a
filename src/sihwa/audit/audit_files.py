"""The files of an audit: audit.parquet for programs, audit.html for people."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from itertools import groupby, takewhile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sihwa.audit.finding import SEVERITIES, Finding, Marked
from sihwa.errors import UnreadableImage
from sihwa.images import AS_STORED, Decoding, decoded_image, map_with_progress, read_bytes
from sihwa.reporting import image_uri
from sihwa.reporting.template import render_template
from sihwa.storage import replacing, write_text
from sihwa.terminal.names import counted

PAGE, TABLE = "audit.html", "audit.parquet"

_SHOWN = 24
"""Images of a finding that the page shows."""
_SIDE = 160
"""Longest side of an image in the page, in pixels."""

_MARKED = pa.struct(
    [
        ("path", pa.string()),
        ("label", pa.string()),
        ("place", pa.int32()),
        ("note", pa.string()),
        ("suggested_label", pa.string()),
        ("exclude", pa.bool_()),
    ]
)
AUDIT_SCHEMA = pa.schema(
    [
        pa.field("kind", pa.string(), nullable=False),
        pa.field("severity", pa.string(), nullable=False),
        pa.field("message", pa.string(), nullable=False),
        pa.field("advice", pa.string(), nullable=False),
        pa.field("figure", pa.float64()),
        pa.field("images", pa.list_(_MARKED), nullable=False),
    ]
)
"""Columns of audit.parquet, one row per finding, the worst first; see `Finding` and `Marked`."""


def write_audit(
    folder: Path, findings: Sequence[Finding], title: str, decoding: Decoding = AS_STORED
) -> None:
    """Write audit.parquet and audit.html, each whole or not at all.

    Images are shown as `decoding` says.

    Raises:
        StorageError: The file system refused.
    """
    table = pa.Table.from_pylist([asdict(one) for one in findings], schema=AUDIT_SCHEMA)
    with replacing(folder / TABLE) as temporary:
        pq.write_table(table, temporary, compression="zstd")
    write_text(folder / PAGE, render_audit(findings, title, decoding))


def render_audit(findings: Sequence[Finding], title: str, decoding: Decoding = AS_STORED) -> str:
    """Return the page as HTML text; an image that is gone is named without being shown."""
    shown = sorted({one.path for finding in findings for one in finding.images[:_SHOWN]})
    uri = dict(
        zip(
            shown,
            map_with_progress("drawing", partial(_uri, decoding=decoding), shown),
            strict=True,
        )
    )
    counts = [(name, sum(one.severity == name for one in findings)) for name in SEVERITIES]
    return render_template(
        "sihwa.audit",
        "audit.html.j2",
        title=title,
        counts=counts,
        findings=[_shown(one, uri) for one in findings],
    )


def _uri(path: str, decoding: Decoding) -> str | None:
    try:
        with decoded_image(read_bytes(path), path, decoding) as (pixels, _):
            return image_uri(pixels, _SIDE)
    except UnreadableImage:
        return None


def _shown(finding: Finding, uri: dict[str, str | None]) -> dict[str, Any]:
    some = finding.images[:_SHOWN]
    rest = len(finding.images) - len(some)
    shared = _shared_folder([one.path for one in some])
    return {
        "kind": finding.kind,
        "severity": finding.severity,
        "message": finding.message,
        "advice": finding.advice,
        "sets": [
            [_image(one, uri, shared) for one in marked]
            for _, marked in groupby(some, key=lambda one: one.place)
        ],
        "rest": f"{counted(rest, 'more image')} in {TABLE}" if rest else "",
    }


def _image(marked: Marked, uri: dict[str, str | None], shared: str) -> dict[str, Any]:
    return {"uri": uri[marked.path], "name": marked.path.removeprefix(shared), **asdict(marked)}


def _shared_folder(paths: Sequence[str]) -> str:
    """Return the folder that all paths begin with, with the slash behind it.

    >>> _shared_folder(["/parts/good/1.png", "/parts/gone/2.png"])
    '/parts/'
    """
    first, *others = [path.replace("\\", "/").split("/")[:-1] for path in paths] or [[]]
    shared = takewhile(lambda names: len(set(names)) == 1, zip(first, *others, strict=False))
    return "".join(f"{names[0]}/" for names in shared)
