"""Training: a manifest and a network in, a trained network out."""

from sihwa.training.config import ProbeConfig, TrainingConfig
from sihwa.training.embedding import embed_manifest, read_batches
from sihwa.training.probe import ProbeFit, fit_probe
from sihwa.training.unknown import fit_unknown

__all__ = [
    "ProbeConfig",
    "ProbeFit",
    "TrainingConfig",
    "embed_manifest",
    "fit_probe",
    "fit_unknown",
    "read_batches",
]
