"""Fine-tuning: gradient descent on the network or its last blocks.

Axes: N images, D embedding width, K classes, C, h and w activation size.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from sihwa.augmentation import Augmenter
from sihwa.dataset import Manifest
from sihwa.errors import TrainingDiverged
from sihwa.model import CutNetwork, Network, cut_network
from sihwa.training.batches import Batches, BatchSource, EpochOrder, ImageBatches, load_batches
from sihwa.training.config import FinetuneConfig
from sihwa.training.context import Curve, TrainContext, TrainResult
from sihwa.training.curve_writers import CurveWriter, open_curve_writers
from sihwa.training.embedding import embed_manifest
from sihwa.training.held_out import HeldOutSplit, hold_out
from sihwa.training.image_store import decode_images
from sihwa.training.learner import Activate, Head, Learner
from sihwa.training.loop import run_loop
from sihwa.training.objective import Objective
from sihwa.training.precision import choose_dtype
from sihwa.training.probe import Scaler, fit_classifier

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingData:
    """Batches of one way of training, and what turns them into activations.

    Attributes:
        cut: The network, cut in frozen and trained layers.
        activate: Inputs of a batch → activations at the cut.
        batches: Makes training batches.
        held_out: Makes batches of held-out images.
        split: Which images are which.
    """

    cut: CutNetwork
    activate: Activate
    batches: BatchSource
    held_out: BatchSource
    split: HeldOutSplit


def finetune(
    network: Network, manifest: Manifest, config: FinetuneConfig, context: TrainContext
) -> TrainResult:
    """Train the network on the training images, in place; frozen layers run on every batch.

    Raises:
        TooFewImages: Too few to hold any out.
        UnreadableImage: An image is gone or changed since the manifest was made.
        StorageError: A checkpoint or the image file cannot be written.
        ConfigError: The device lacks the precision, or MLflow refuses its address.
        TrainingDiverged: Loss or weights are not finite.
    """
    curves = open_training(config, context)
    split = hold_out(manifest, config.selection.held_out, context.seed)
    rows = split.fitted + split.held_out
    images = decode_images(
        manifest, rows, memory_mib=config.memory_mib, cache_dir=context.cache_dir
    )
    cut = cut_network(network, config.trained_share)
    label = manifest.label_index
    data = TrainingData(
        cut,
        _run_frozen(cut.frozen, context.device),
        ImageBatches(images, label, Augmenter(context.augmentation), context.seed),
        ImageBatches(images, label, None, context.seed),
        split,
    )
    return train_layers(network, manifest, data, config, context, curves)


def open_training(config: FinetuneConfig, context: TrainContext) -> list[CurveWriter]:
    """Check precision and stores before minutes of work; return the curve writers.

    Raises:
        ConfigError: The device lacks the precision, or MLflow refuses its address.
    """
    choose_dtype(config.precision, context.device)
    return open_curve_writers(config, context)


def _run_frozen(layers: nn.Module, device: torch.device) -> Activate:
    layers.requires_grad_(False).eval().to(device)

    @torch.no_grad()
    def activate(inputs: Sequence[Tensor]) -> Tensor:
        return torch.cat([layers(images) for images in inputs])

    return activate


def train_layers(
    network: Network,
    manifest: Manifest,
    data: TrainingData,
    config: FinetuneConfig,
    context: TrainContext,
    curves: Sequence[CurveWriter],
) -> TrainResult:
    """Train a network's last layers and classifier on batches, in place."""
    fitted = data.split.fitted
    label = manifest.label_index[fitted]
    learner = Learner(
        data.activate,
        data.cut.trained,
        _first_head(network, manifest.take(fitted), config, context),
        Objective(config.loss, np.bincount(label, minlength=len(manifest.classes))),
        config,
    )
    log.info(
        "training %s from %s on (%.0f %% of the arithmetic) on %d images, %d held out",
        config.name,
        data.cut.last_frozen,
        100 * data.cut.trained_share,
        len(fitted),
        len(data.split.held_out),
    )
    order = EpochOrder(
        fitted, label, config.batch_size, seed=context.seed, oversample=config.oversample
    )
    batches = load_batches(data.batches, order, config, context.device)
    held_out = _held_out_batches(data, manifest, config, context)
    status = "FAILED"
    try:
        progress = run_loop(learner, batches, held_out, config, context, curves)
        status = "FINISHED"
    finally:
        for writer in curves:
            writer.close(status)
    _write_head(network, learner)
    epochs, best = progress.epoch, progress.best_epoch
    summary = f"{epochs} epochs" + (f", the best of them {best + 1}" if best is not None else "")
    shown = tuple(Curve(name, tuple(values)) for name, values in progress.curves.items())
    return TrainResult(summary, progress.best_log_loss, shown)


def _held_out_batches(
    data: TrainingData, manifest: Manifest, config: FinetuneConfig, context: TrainContext
) -> Batches | None:
    rows = data.split.held_out
    if not rows:
        return None
    order = EpochOrder(rows, manifest.label_index[rows], max(config.batch_size, 32), seed=None)
    return load_batches(data.held_out, order, config, context.device)


def _first_head(
    network: Network, manifest: Manifest, config: FinetuneConfig, context: TrainContext
) -> Head:
    width, class_count = network.classifier.in_features, len(manifest.classes)
    if config.start == "zero":
        return Head(np.zeros(width), np.ones(width), class_count, config.dropout)
    embedding = embed_manifest(
        network, manifest, cache_dir=context.cache_dir, device=context.device
    )
    scale = Scaler.of(embedding)
    head = Head(scale.mean, scale.deviation, class_count, config.dropout)
    head.start_from(*fit_classifier(scale(embedding), manifest.label_index, config.strength))
    return head


def _write_head(network: Network, learner: Learner) -> None:
    """Write the trained head into the network; the trained layers are the network's own.

    Raises:
        TrainingDiverged: A weight is NaN or inf.
    """
    if not all(value.isfinite().all() for value in learner.state_dict().values()):
        raise TrainingDiverged("weights contain NaN or inf")
    weight, bias = learner.head.unfolded()
    with torch.no_grad():
        network.classifier.weight.copy_(weight)
        network.classifier.bias.copy_(bias)
    network.cpu().requires_grad_(True).eval()
