"""Fine-tuning: gradient descent on the network or its last blocks.

Axes: N images, D embedding width, K classes, C, h and w activation size.
"""

import logging
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sihwa.augmentation import Augmenter
from sihwa.dataset import Manifest
from sihwa.errors import ConfigError, TrainingDiverged
from sihwa.model import Network, cut_network
from sihwa.training.config import FinetuneConfig, StagesConfig
from sihwa.training.curve_writers import open_curves
from sihwa.training.embedding import embed_tiles
from sihwa.training.epoch_batches import (
    ActivationBatches,
    Batches,
    EpochOrder,
    ImageBatches,
    Source,
    load_batches,
)
from sihwa.training.held_out import HeldOutSplit, hold_out
from sihwa.training.image_store import ImageStore
from sihwa.training.learner import Activate, Head, Learner
from sihwa.training.loop import choose_dtype, run_loop
from sihwa.training.objective import Objective
from sihwa.training.probe import Scaler, fit_classifier
from sihwa.training.stages import compute_activations, run_frozen
from sihwa.training.train import Curve, TrainContext, TrainResult, world

log = logging.getLogger(__name__)


def finetune(
    network: Network, manifest: Manifest, config: FinetuneConfig, context: TrainContext
) -> TrainResult:
    """Train a network's last layers and classifier on the training images, in place.

    The frozen layers run on every batch, or with `training=stages` once beforehand. For the errors
    see `train_network`.
    """
    if isinstance(config, StagesConfig) and world()[1] > 1:
        raise ConfigError("training=stages runs in one process; use training=finetune for several")
    choose_dtype(config.precision, context.device)  # refused here, before minutes of work
    with open_curves(config, context) as write_curves:
        split = hold_out(manifest, config.selection.held_out, context.seed)
        learner, source = _prepare(network, manifest, split, config, context)

        def load(
            rows: Sequence[int], size: int, seed: int | None, oversample: float = 0.0
        ) -> Batches:
            label = manifest.label_index[rows]
            order = EpochOrder(rows, label, size, seed=seed, oversample=oversample)
            return load_batches(source, order, config, context.device)

        batches = load(split.fitted, config.batch_size, context.seed, config.oversample)
        held_out = (
            load(split.held_out, max(config.batch_size, 32), None) if split.held_out else None
        )
        progress = run_loop(learner, batches, held_out, config, context, write_curves)
    _write_head(network, learner)
    epochs, best = progress.epoch, progress.best_epoch
    summary = f"{epochs} epochs" + (f", the best of them {best + 1}" if best is not None else "")
    shown = tuple(Curve(name, tuple(values)) for name, values in progress.curves.items())
    return TrainResult(summary, progress.best_log_loss, shown)


def _prepare(
    network: Network,
    manifest: Manifest,
    split: HeldOutSplit,
    config: FinetuneConfig,
    context: TrainContext,
) -> tuple[Learner, Source]:
    """Return what is trained, and what makes its batches."""
    rows, label = split.fitted + split.held_out, manifest.label_index
    store = ImageStore(
        manifest,
        rows,
        size_of=network.framing.useful_size,  # augmentation changes the image of this size
        memory_mib=config.memory_mib,
        cache_dir=context.cache_dir,
    )
    cut = cut_network(network, config.trained_share)
    images = ImageBatches(store, label, Augmenter(context.augmentation), context.seed)
    source: Source = images
    if isinstance(config, StagesConfig):
        activation = compute_activations(cut.frozen, images, split, config, context)
        source = ActivationBatches(activation, rows, label, context.seed)
        activate: Activate = _join
    else:
        activate = run_frozen(cut.frozen, context.device)
    head = _first_head(network, manifest.take(split.fitted), config, context)
    count = np.bincount(label[split.fitted], minlength=len(manifest.classes))
    objective = Objective(config.loss, count)
    learner = Learner(activate, cut.trained, head, objective, config, network.pooling)
    log.info(
        "training %s from %s on (%.0f %% of the arithmetic) on %d images, %d held out",
        config.name,
        cut.last_frozen,
        100 * cut.trained_share,
        len(split.fitted),
        len(split.held_out),
    )
    return learner, source


def _join(inputs: Sequence[Tensor]) -> Tensor:
    return torch.cat([one.float() for one in inputs])


def _first_head(
    network: Network, manifest: Manifest, config: FinetuneConfig, context: TrainContext
) -> Head:
    width, class_count = network.classifier.in_features, len(manifest.classes)
    if config.start == "zero":
        return Head(np.zeros(width), np.ones(width), class_count, config.dropout)
    embedding = embed_tiles(network, manifest, cache_dir=context.cache_dir, device=context.device)
    scale = Scaler.of(embedding)
    head = Head(scale.mean, scale.deviation, class_count, config.dropout)
    head.start_from(
        *fit_classifier(scale(embedding), manifest.label_index, config.strength, network.pooling)
    )
    return head


def _write_head(network: Network, learner: Learner) -> None:
    """Write the trained head into the network; the trained layers are the network's own."""
    if not all(value.isfinite().all() for value in learner.state_dict().values()):
        raise TrainingDiverged("weights contain NaN or inf")
    network.set_classifier(*learner.head.unfolded())
    network.cpu().requires_grad_(True).eval()
