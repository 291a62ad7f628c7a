"""Fine-tuning made for a CPU: the trunk runs once, the last blocks train on what it gave.

Axes: N images, M images, V views, H and W image size in pixels, C, h and w activation size.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sihwa.augmentation import Augmenter
from sihwa.dataset import Manifest
from sihwa.errors import ConfigError, ParityError
from sihwa.model import Network, split_network
from sihwa.terminal.progress import progress_bar
from sihwa.training.batches import ActivationBatches
from sihwa.training.context import TrainContext, TrainResult, world
from sihwa.training.finetune import Plan, divide_training, train_parts
from sihwa.training.finetune_config import StagesConfig
from sihwa.training.image_store import ImageStore, decode_images
from sihwa.training.loop import open_loggers
from sihwa.training.store import new_array
from sihwa.training.trunk import create_trunk_runner

_BATCH = 32

Job = tuple[int, int]
"""A manifest row and the number of its view."""


def train_stages(
    network: Network, manifest: Manifest, config: StagesConfig, work: TrainContext
) -> TrainResult:
    """Train a network's last blocks on the training images, in place.

    Raises:
        ConfigError: There are several processes, the device lacks the precision, or MLflow does not
            take its address.
        ParityError: The runtime of the trunk does not agree with PyTorch.
        TrainingDiverged: Loss or weights are no longer finite.
        TooFewImages: Too few to hold any out.
        UnreadableImage: An image vanished or changed since the manifest was made.
        StorageError: A checkpoint, the images or the activations cannot be kept.
    """
    if world()[1] > 1:
        raise ConfigError("training=stages runs in one process; use training=finetune for several")
    loggers = open_loggers(config, work)  # before minutes of the trunk's work
    division = divide_training(manifest, config.selection.held_out, work.seed)
    rows = division.fitted + division.held_out
    store = decode_images(manifest, rows, memory_mib=config.memory_mib, cache_dir=work.cache_dir)
    parts = split_network(network, config.trained_share)
    augmenter = Augmenter(work.augmentation)
    views = config.views if augmenter else 1
    jobs = [(row, view) for view in range(views) for row in division.fitted]
    jobs += [(row, 0) for row in division.held_out]
    place = {row: index for index, row in enumerate(rows)}
    activation = _run_trunk(parts.trunk, store, jobs, place, views, config, work)
    label = manifest.label_index
    plan = Plan(
        parts,
        lambda batch: _joined(batch, work.device),
        ActivationBatches(activation, place, label, work.seed),
        ActivationBatches(activation, place, label, None),
        division,
        loggers,
    )
    return train_parts(network, manifest, plan, config, work)


def _joined(batch: Sequence[Tensor], device: torch.device) -> Tensor:
    return torch.cat([part.to(device).float() for part in batch])


def _run_trunk(
    trunk: nn.Module,
    store: ImageStore,
    jobs: Sequence[Job],
    place: dict[int, int],
    views: int,
    config: StagesConfig,
    work: TrainContext,
) -> NDArray[np.float16]:
    """Return the activations of every image and view, (M, V, C, h, w)."""
    sample = np.stack([store[row] for row, _ in jobs[:1]])
    run = create_trunk_runner(trunk, work.device, sample)
    shape = run(sample).shape[1:]
    activation = new_array(
        (len(place), views, *shape),
        np.float16,
        memory_mib=config.memory_mib,
        folder=work.cache_dir.expanduser(),
    )
    with progress_bar(f"trunk, {views} views", len(jobs), "views") as advance:
        for same, images in _augmented(store, jobs, work):
            result = run(images)
            if not np.isfinite(result).all():
                raise ParityError(
                    "training=stages: activations of this network do not fit half precision; "
                    "use training=finetune"
                )
            for (row, view), one in zip(same, result, strict=True):
                activation[place[row], view] = one
            advance(len(same))
    return activation


def _augmented(
    store: ImageStore, jobs: Sequence[Job], work: TrainContext
) -> Iterator[tuple[list[Job], NDArray[np.uint8]]]:
    """Yield jobs and their images (N, H, W, 3), of one size each, made ahead of their use."""
    augmenter = Augmenter(work.augmentation)

    def make(group: Sequence[Job]) -> list[tuple[list[Job], NDArray[np.uint8]]]:
        by_shape: dict[tuple[int, ...], list[tuple[Job, NDArray[np.uint8]]]] = {}
        for row, view in group:
            image = store[row]
            if view:
                image = augmenter(image, (work.seed, view, row))
            by_shape.setdefault(image.shape, []).append(((row, view), image))
        return [
            ([job for job, _ in same], np.stack([image for _, image in same]))
            for same in by_shape.values()
        ]

    groups = [jobs[start : start + _BATCH] for start in range(0, len(jobs), _BATCH)]
    with ThreadPoolExecutor(1) as maker:
        ahead: deque[Future[list[tuple[list[Job], NDArray[np.uint8]]]]] = deque()
        for number in range(len(groups)):
            more = groups[number + len(ahead) : number + 2]
            ahead.extend(maker.submit(make, group) for group in more)
            yield from ahead.popleft().result()
