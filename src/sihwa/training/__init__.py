"""Training: a manifest and a network in, a trained network out."""

from sihwa.training.config import FinetuneConfig, ProbeConfig, StagesConfig, TrainingConfig
from sihwa.training.embedding import create_embedder, embed_manifest, embed_tiles, read_batches
from sihwa.training.train import Curve, TrainContext, TrainResult, train_network, world

__all__ = [
    "Curve",
    "FinetuneConfig",
    "ProbeConfig",
    "StagesConfig",
    "TrainContext",
    "TrainResult",
    "TrainingConfig",
    "create_embedder",
    "embed_manifest",
    "embed_tiles",
    "read_batches",
    "train_network",
    "world",
]
