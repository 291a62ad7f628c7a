"""A table of the data set in which a person decides what the audit suggests."""

import csv
import io
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from sihwa.audit.finding import Finding
from sihwa.dataset import Manifest
from sihwa.dataset.manifest import MANIFEST_SCHEMA
from sihwa.errors import StorageError
from sihwa.storage import write_text

EXCLUDE, SUGGESTED, REASON = "audit_exclude", "audit_suggested_label", "audit_reason"
"""Columns that the audit adds; `dataset=manifest` keeps them as they are and acts on none."""


def write_clean_manifest(path: Path, manifest: Manifest, findings: Sequence[Finding]) -> int:
    """Write every image with label, group and split, and beside them what the audit suggests.

    `audit_exclude` is `yes` where leaving the image out settles a finding. Nothing is left out, and
    no label is changed.

    Returns:
        Number of images with a suggestion.

    Raises:
        StorageError: The file exists, an image path is not valid Unicode, or it cannot be written.
    """
    if os.path.lexists(path):
        raise StorageError(f"{path} exists; name another file with --write-manifest")
    exclude: set[str] = set()
    suggested: dict[str, str] = {}
    reasons: dict[str, list[str]] = defaultdict(list)
    for finding in findings:
        for one in finding.images:
            reasons[one.path].append(finding.kind)
            if one.exclude:
                exclude.add(one.path)
            if one.suggested_label:
                suggested.setdefault(one.path, one.suggested_label)
    columns = _columns(manifest)
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*columns, EXCLUDE, SUGGESTED, REASON])
    for row in manifest.table.select(columns).to_pylist():
        image = row["path"]
        marks = ["yes" if image in exclude else "", suggested.get(image, "")]
        writer.writerow([*row.values(), *marks, "; ".join(reasons.get(image, []))])
    try:
        write_text(path, stream.getvalue())
    except UnicodeEncodeError as error:
        raise StorageError(
            f"{path}: the path of an image is not valid Unicode; rename the image"
        ) from error
    return len(reasons.keys() & set(manifest.table["path"].to_pylist()))


def _columns(manifest: Manifest) -> list[str]:
    """Return the columns to write: those that are filled, and the attributes of the source."""
    table = manifest.table
    filled = [name for name in ("group", "split") if any(table[name].to_pylist())]
    others = [
        name
        for name in table.column_names
        if name not in MANIFEST_SCHEMA.names and name not in (EXCLUDE, SUGGESTED, REASON)
    ]
    return ["path", "label", *filled, "sha256", *others]
