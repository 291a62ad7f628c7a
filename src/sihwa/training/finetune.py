"""Fine-tuning: gradient descent on the network or its last blocks.

Axes: N images, M training images, D embedding width, K classes, C, h and w activation size.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import torch
from lightning.pytorch.loggers import Logger
from sklearn.model_selection import StratifiedGroupKFold
from torch import Tensor, nn
from torch.utils.data import DataLoader

from sihwa.augmentation import Augmenter
from sihwa.dataset import Manifest
from sihwa.errors import TooFewImages, TrainingDiverged
from sihwa.model import Network, Parts, split_network
from sihwa.training.batches import Batch, BatchSource, EpochOrder, ImageBatches
from sihwa.training.context import Curve, TrainContext, TrainResult, world
from sihwa.training.embedding import embed_manifest
from sihwa.training.finetune_config import FinetuneConfig
from sihwa.training.image_store import decode_images
from sihwa.training.learner import Front, Head, Learner
from sihwa.training.loop import load_batches, open_loggers, run_loop
from sihwa.training.objective import Objective
from sihwa.training.probe import Scaler, fit_classifier

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HeldOutSplit:
    """Manifest rows of the training split: to train on, and to choose the epoch by."""

    fitted: list[int]
    held_out: list[int]


@dataclass(frozen=True)
class Plan:
    """Everything that a loop over batches needs.

    Attributes:
        parts: The network, cut.
        front: Makes the activations at the cut of a batch's parts.
        source: Makes training batches.
        held_out: Makes batches of held-out images.
        division: Which images are which.
        loggers: Where the curves go.
    """

    parts: Parts
    front: Front
    source: BatchSource
    held_out: BatchSource
    division: HeldOutSplit
    loggers: Sequence[Logger]


def finetune(
    network: Network, manifest: Manifest, config: FinetuneConfig, work: TrainContext
) -> TrainResult:
    """Train the network on the training images, in place.

    Raises:
        TooFewImages: Too few to hold any out, or fewer than processes.
        UnreadableImage: An image vanished or changed since the manifest was made.
        StorageError: A checkpoint or the images' file cannot be written.
        ConfigError: The device lacks the precision, or MLflow does not take its address.
        TrainingDiverged: Loss or weights are no longer finite.
    """
    loggers = open_loggers(config, work)
    division = divide_training(manifest, config.selection.held_out, work.seed)
    images = decode_images(
        manifest,
        division.fitted + division.held_out,
        memory_mib=config.memory_mib,
        cache_dir=work.cache_dir,
    )
    parts = split_network(network, config.trained_share)
    label = manifest.label_index
    plan = Plan(
        parts,
        _frozen(parts.trunk, work.device),
        ImageBatches(images, label, Augmenter(work.augmentation), work.seed),
        ImageBatches(images, label, None, work.seed),
        division,
        loggers,
    )
    return train_parts(network, manifest, plan, config, work)


def divide_training(manifest: Manifest, held_out: float, seed: int) -> HeldOutSplit:
    """Hold out a share of the training images, stratified and by component.

    Raises:
        TooFewImages: A class would be left without an image on one side.
    """
    rows = np.flatnonzero(manifest.split == "train")
    if not held_out:
        return HeldOutSplit(rows.tolist(), [])
    label = manifest.label_index[rows]
    component = np.asarray(manifest.component)[rows]
    splitter = StratifiedGroupKFold(max(2, round(1 / held_out)), shuffle=True, random_state=seed)
    fewest = min(len(set(component[label == kind])) for kind in np.unique(label))
    if fewest >= splitter.get_n_splits():
        fitted, held = next(iter(splitter.split(rows, label, component)))
        kinds = len(manifest.classes)
        if len(set(label[fitted])) == kinds and len(set(label[held])) == kinds:
            return HeldOutSplit(rows[fitted].tolist(), rows[held].tolist())
    raise TooFewImages(
        f"training.selection.held_out={held_out}: a class has {fewest} independent training "
        "image(s), too few to hold any out; use 0, or add images"
    )


def _frozen(trunk: nn.Module, device: torch.device) -> Front:
    trunk.requires_grad_(False).eval().to(device)

    @torch.no_grad()
    def front(parts: Sequence[Tensor]) -> Tensor:
        # norms of a trunk keep their statistics, whatever the rest of the network does
        return torch.cat([trunk(part) for part in parts])

    return front


def train_parts(
    network: Network, manifest: Manifest, plan: Plan, config: FinetuneConfig, work: TrainContext
) -> TrainResult:
    """Train a network's tail and classifier on batches, in place."""
    rank, processes = world()
    fitted = plan.division.fitted
    label = manifest.label_index[fitted]
    order = EpochOrder(fitted, label, config.batch_size, seed=work.seed,
                       oversample=config.oversample, rank=rank, world=processes)  # fmt: skip
    learner = Learner(
        plan.front,
        plan.parts.tail.to(memory_format=torch.channels_last),
        _first_head(network, manifest, fitted, config, work),
        Objective(config.loss, np.bincount(label, minlength=len(manifest.classes))),
        config,
        config.epochs * ceil(len(order) / config.optimizer.accumulate),
    )
    log.info(
        "training %s from %s on (%.0f %% of its arithmetic) on %d images, %d held out",
        config.name,
        plan.parts.name,
        100 * plan.parts.share,
        len(fitted),
        len(plan.division.held_out),
    )
    record = run_loop(
        learner,
        load_batches(plan.source, order, config, work.device),
        _held_out(plan, manifest, config, work),
        config,
        work,
        loggers=plan.loggers,
        images=len(fitted),
    )
    _keep(network, learner)
    epochs = len(record.curve["loss"])
    chosen = f", the best of them {record.best_epoch + 1}" if record.best_weights else ""
    curves = tuple(Curve(name, tuple(value)) for name, value in record.curve.items())
    return TrainResult(f"{epochs} epochs{chosen}", record.best_log_loss, curves)


def _held_out(
    plan: Plan, manifest: Manifest, config: FinetuneConfig, work: TrainContext
) -> "DataLoader[Batch] | None":
    rows = plan.division.held_out
    if not rows:
        return None
    rank, processes = world()
    order = EpochOrder(rows, manifest.label_index[rows], max(config.batch_size, 32), seed=None,
                       rank=rank, world=processes)  # fmt: skip
    return load_batches(plan.held_out, order, config, work.device)


def _first_head(
    network: Network,
    manifest: Manifest,
    rows: Sequence[int],
    config: FinetuneConfig,
    work: TrainContext,
) -> Head:
    width, class_count = network.classifier.in_features, len(manifest.classes)
    if config.start == "zero":
        return Head(np.zeros(width), np.ones(width), class_count, config.dropout)
    embedding = embed_manifest(
        network, manifest.take(rows), cache_dir=work.cache_dir, device=work.device
    )
    scale = Scaler.of(embedding)
    head = Head(scale.mean, scale.deviation, class_count, config.dropout)
    head.start_from(*fit_classifier(scale(embedding), manifest.label_index[rows], config.strength))
    return head


def _keep(network: Network, learner: Learner) -> None:
    """Write the trained head into the network; the tail's weights are the network's own.

    Raises:
        TrainingDiverged: A weight is not finite.
    """
    if not all(value.isfinite().all() for value in learner.state_dict().values()):
        raise TrainingDiverged("some of its weights are no numbers")
    weight, bias = learner.head.unfolded()
    with torch.no_grad():
        network.classifier.weight.copy_(weight)
        network.classifier.bias.copy_(bias)
    network.cpu().requires_grad_(True).eval()
