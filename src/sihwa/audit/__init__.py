"""The audit of a data set: what would make its figures lie, before anything is trained."""

from sihwa.audit.audit import audit
from sihwa.audit.audit_files import write_audit
from sihwa.audit.facts_cache import measure_manifest
from sihwa.audit.finding import Finding, Marked, worst_first
from sihwa.audit.image_facts import ImageFacts
from sihwa.audit.inventory import Inventory

__all__ = [
    "Finding",
    "ImageFacts",
    "Inventory",
    "Marked",
    "audit",
    "measure_manifest",
    "worst_first",
    "write_audit",
]
