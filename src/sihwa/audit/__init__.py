"""The audit of a data set: what would make its figures lie, before anything is trained."""

from sihwa.audit.audit import audit
from sihwa.audit.audit_files import write_audit
from sihwa.audit.clean_manifest import write_clean_manifest
from sihwa.audit.finding import Finding, Marked, worst_first
from sihwa.audit.inventory import Inventory
from sihwa.audit.manifest_diff import ManifestDiff, compare_manifests
from sihwa.audit.similar_parts import find_similar_parts

__all__ = [
    "Finding",
    "Inventory",
    "ManifestDiff",
    "Marked",
    "audit",
    "compare_manifests",
    "find_similar_parts",
    "worst_first",
    "write_audit",
    "write_clean_manifest",
]
