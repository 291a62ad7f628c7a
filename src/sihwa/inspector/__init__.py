"""The inspector: written, proved equal, loaded, run."""

from sihwa.inspector.bundle import (
    GRAPH_NAME,
    WEIGHTS_NAME,
    load_inspector,
    read_bundle,
    write_bundle,
)
from sihwa.inspector.card import FORMAT_VERSION, Card, read_card
from sihwa.inspector.evidence import EvidenceBox, evidence_box
from sihwa.inspector.inspector import Inspection, Inspector, card_policy, unread
from sihwa.inspector.overlay import evidence_overlay
from sihwa.inspector.parity import TOLERANCE, ParityProof, prove_parity
from sihwa.inspector.runtime import (
    Outputs,
    Runtime,
    RuntimeChoice,
    create_runtime,
    installed_choices,
)

__all__ = [
    "FORMAT_VERSION",
    "GRAPH_NAME",
    "TOLERANCE",
    "WEIGHTS_NAME",
    "Card",
    "EvidenceBox",
    "Inspection",
    "Inspector",
    "Outputs",
    "ParityProof",
    "Runtime",
    "RuntimeChoice",
    "card_policy",
    "create_runtime",
    "evidence_box",
    "evidence_overlay",
    "installed_choices",
    "load_inspector",
    "prove_parity",
    "read_bundle",
    "read_card",
    "unread",
    "write_bundle",
]
