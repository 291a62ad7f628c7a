"""Fine-tuning for a CPU: the frozen layers run once, the last blocks train on their output.

Axes: N images, M images, V views, H and W image size in pixels, C, h and w activation size.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sihwa.augmentation import Augmenter
from sihwa.dataset import Manifest
from sihwa.errors import ConfigError, ParityError
from sihwa.model import Network, cut_network
from sihwa.terminal.progress import progress_bar
from sihwa.training.batches import ActivationBatches
from sihwa.training.config import StagesConfig
from sihwa.training.context import TrainContext, TrainResult, world
from sihwa.training.finetune import TrainingData, open_training, train_layers
from sihwa.training.frozen_layers import FrozenRunner, create_frozen_runner
from sihwa.training.held_out import HeldOutSplit, hold_out
from sihwa.training.image_store import ImageStore, decode_images
from sihwa.training.large_array import new_array
from sihwa.training.prefetch import group_by, prefetch

_BATCH = 32

View = tuple[int, int]
"""A manifest row and the number of a view; view 0 is the image without augmentation."""


def train_stages(
    network: Network, manifest: Manifest, config: StagesConfig, context: TrainContext
) -> TrainResult:
    """Train a network's last blocks on the training images, in place.

    Raises:
        ConfigError: There are several processes, the device lacks the precision, or MLflow refuses
            its address.
        ParityError: The runtime of the frozen layers differs from PyTorch.
        TrainingDiverged: Loss or weights are not finite.
        TooFewImages: Too few to hold any out.
        UnreadableImage: An image is gone or changed since the manifest was made.
        StorageError: A checkpoint, the images or the activations cannot be kept.
    """
    if world()[1] > 1:
        raise ConfigError("training=stages runs in one process; use training=finetune for several")
    curves = open_training(config, context)
    split = hold_out(manifest, config.selection.held_out, context.seed)
    rows = split.fitted + split.held_out
    store = decode_images(manifest, rows, memory_mib=config.memory_mib, cache_dir=context.cache_dir)
    cut = cut_network(network, config.trained_share)
    run = create_frozen_runner(cut.frozen, context.device, store[rows[0]][None])
    activation = _activations(run, store, split, config, context)
    place = {row: index for index, row in enumerate(rows)}
    label = manifest.label_index
    data = TrainingData(
        cut,
        _join,
        ActivationBatches(activation, place, label, context.seed),
        ActivationBatches(activation, place, label, None),
        split,
    )
    return train_layers(network, manifest, data, config, context, curves)


def _join(inputs: Sequence[Tensor]) -> Tensor:
    return torch.cat([one.float() for one in inputs])


def _activations(
    run: FrozenRunner,
    store: ImageStore,
    split: HeldOutSplit,
    config: StagesConfig,
    context: TrainContext,
) -> NDArray[np.float16]:
    """Return the activations of every image and view, (M, V, C, h, w)."""
    rows = split.fitted + split.held_out
    place = {row: index for index, row in enumerate(rows)}
    views = config.views if context.augmentation.changes_something else 1
    jobs = [(row, view) for view in range(views) for row in split.fitted]
    jobs += [(row, 0) for row in split.held_out]
    activation = new_array(
        (len(rows), views, *run(store[rows[0]][None]).shape[1:]),
        np.float16,
        memory_mib=config.memory_mib,
        folder=context.cache_dir.expanduser(),
    )
    with progress_bar(f"frozen layers, {views} views", len(jobs), "views") as advance:
        for group, images in _augmented(store, jobs, context):
            result = run(images)
            if not np.isfinite(result).all():
                raise ParityError(
                    "training=stages: activations of this network do not fit half precision; "
                    "use training=finetune"
                )
            for (row, view), one in zip(group, result, strict=True):
                activation[place[row], view] = one
            advance(len(group))
    return activation


def _augmented(
    store: ImageStore, jobs: Sequence[View], context: TrainContext
) -> Iterator[tuple[list[View], NDArray[np.uint8]]]:
    """Yield views and their images (N, H, W, 3) of one size, made ahead of their use."""
    augmenter = Augmenter(context.augmentation)

    def make(some: Sequence[View]) -> list[tuple[list[View], NDArray[np.uint8]]]:
        images = {
            (row, view): augmenter(store[row], (context.seed, view, row)) if view else store[row]
            for row, view in some
        }
        groups = group_by(some, lambda one: images[one].shape)
        return [(group, np.stack([images[one] for one in group])) for group in groups]

    chunks = [jobs[start : start + _BATCH] for start in range(0, len(jobs), _BATCH)]
    for groups in prefetch(make, chunks):
        yield from groups
