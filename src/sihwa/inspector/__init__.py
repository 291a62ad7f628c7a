"""The inspector: written, proved equal, loaded, run."""

from sihwa.inspector.bundle import IMAGES_NAME, Bundle, read_bundle, write_bundle
from sihwa.inspector.card import (
    FORMAT_VERSION,
    Card,
    DatasetFacts,
    FixedSizeFacts,
    GraphFacts,
    Int8Facts,
    MarginFacts,
    WeightsFacts,
    card_policy,
)
from sihwa.inspector.evidence import EvidenceBox, evidence_box, evidence_outline, evidence_overlay
from sihwa.inspector.inspector import Inspection, Inspector, load_inspector, open_bundle, unread
from sihwa.inspector.machine import processor_of
from sihwa.inspector.network_facts import FramingFacts, NetworkFacts
from sihwa.inspector.parity import TOLERANCE, ProofImages, compare, in_other_sizes, prove
from sihwa.inspector.policy_facts import (
    ClaimFacts,
    PolicyFacts,
    ThresholdFacts,
    TopClassFacts,
    policy_facts,
)
from sihwa.inspector.proof import ParityProof
from sihwa.inspector.runtime.interface import Outputs, Runtime, RuntimeChoice
from sihwa.inspector.runtime.registry import REFERENCE, create_runtime, installed_choices
from sihwa.inspector.speed import MOST_TIMED, measure_speed, timed_images
from sihwa.inspector.verify import Verification, read_verification

__all__ = [
    "FORMAT_VERSION",
    "IMAGES_NAME",
    "MOST_TIMED",
    "REFERENCE",
    "TOLERANCE",
    "Bundle",
    "Card",
    "ClaimFacts",
    "DatasetFacts",
    "EvidenceBox",
    "FixedSizeFacts",
    "FramingFacts",
    "GraphFacts",
    "Inspection",
    "Inspector",
    "Int8Facts",
    "MarginFacts",
    "NetworkFacts",
    "Outputs",
    "ParityProof",
    "PolicyFacts",
    "ProofImages",
    "Runtime",
    "RuntimeChoice",
    "ThresholdFacts",
    "TopClassFacts",
    "Verification",
    "WeightsFacts",
    "card_policy",
    "compare",
    "create_runtime",
    "evidence_box",
    "evidence_outline",
    "evidence_overlay",
    "in_other_sizes",
    "installed_choices",
    "load_inspector",
    "measure_speed",
    "open_bundle",
    "policy_facts",
    "processor_of",
    "prove",
    "read_bundle",
    "read_verification",
    "timed_images",
    "unread",
    "write_bundle",
]
