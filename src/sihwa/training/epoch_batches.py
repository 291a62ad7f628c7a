"""Batches of an epoch: which images, in which order, augmented how. All follows from the seed.

Axes: N images in a batch, H and W image size in pixels, C, h and w activation size, V views.
"""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from sihwa.augmentation import Augmenter
from sihwa.errors import ConfigError
from sihwa.images import available_cores
from sihwa.training.config import FinetuneConfig
from sihwa.training.image_store import ImageStore
from sihwa.training.prefetch import group_by
from sihwa.training.train import world

_SHARED = Path("/dev/shm")
_AHEAD = 2
"""Batches that each worker makes ahead."""


class Request(NamedTuple):
    """Which images make up a batch."""

    epoch: int | None
    """Chooses the augmentation; None for images as they are."""
    rows: tuple[int, ...]
    """Manifest rows of this process."""
    total: int
    """Images of the batch over all processes."""


class Batch(NamedTuple):
    """The images of one batch."""

    inputs: tuple[Tensor, ...]
    """Images (n, H, W, 3) uint8, one tensor per size, or activations (N, C, h, w)."""
    label: Tensor
    """Class indices, (N,)."""
    row: Tensor
    """Manifest rows, (N,)."""
    total: int
    """Images of the batch over all processes."""

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device."""
        inputs = tuple(one.to(device, non_blocking=True) for one in self.inputs)
        return Batch(inputs, self.label.to(device, non_blocking=True), self.row, self.total)


Batches = DataLoader[Batch]


def seeded_random(*key: int) -> np.random.Generator:
    """Return a generator that depends on the key alone, not on earlier draws."""
    return np.random.default_rng(np.random.SeedSequence(key))


class EpochOrder(Sampler[Request]):
    """The batches of one epoch, drawn from seed and epoch alone.

    Batch sizes differ by one image at most, since batch norms cannot train on a small last batch.
    Each batch is divided evenly over the processes.

    Args:
        rows: Manifest rows to train on, M of them.
        label: Class of each, (M,).
        batch_size: Images per batch over all processes.
        seed: Seeds the order; None keeps the order of the rows and the images as they are.
        oversample: In [0, 1]: 0 takes every row once, 1 draws every class equally often.
    """

    def __init__(
        self,
        rows: Sequence[int],
        label: NDArray[np.integer],
        batch_size: int,
        *,
        seed: int | None,
        oversample: float = 0.0,
    ) -> None:
        self.image_count = len(rows)
        rank, processes = world()
        self._rows = np.asarray(rows)
        self._weight = _weights(label, oversample) if oversample else None
        self._seed = seed
        self._share = slice(rank, None, processes)
        # a process without an image in some batch would wait for the others forever
        most = max(1, len(rows) // processes)
        self._count = min(most, max(1, round(len(rows) / batch_size)))
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch to iterate over next."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Request]:
        epoch = None if self._seed is None else self._epoch
        for batch in np.array_split(self._drawn(), self._count):
            yield Request(epoch, tuple(batch[self._share].tolist()), len(batch))

    def _drawn(self) -> NDArray[np.integer]:
        if self._seed is None:
            return self._rows
        rng = seeded_random(self._seed, self._epoch)
        if self._weight is None:
            return rng.permutation(self._rows)
        return rng.choice(self._rows, len(self._rows), p=self._weight)


def _weights(label: NDArray[np.integer], oversample: float) -> NDArray[np.floating]:
    count = np.bincount(label)
    weight = count[label] ** -float(oversample)
    result: NDArray[np.floating] = weight / weight.sum()
    return result


class Source(Dataset[Batch]):
    """What makes batches; `largest_bytes` is the size of its largest image or activation."""

    largest_bytes: int

    def __getitem__(self, request: Request) -> Batch:
        """Return the batch of a request."""
        raise NotImplementedError


class ImageBatches(Source):
    """Batches of augmented images.

    Args:
        store: Decoded images.
        label: Class of every row of the manifest.
        augmenter: Changes the images.
        seed: Seeds the augmentation, with epoch and row.
    """

    def __init__(
        self, store: ImageStore, label: NDArray[np.integer], augmenter: Augmenter, seed: int
    ) -> None:
        self._store, self._label = store, label
        self._augmenter, self._seed = augmenter, seed
        self.largest_bytes = store.largest_bytes

    def __getitem__(self, request: Request) -> Batch:
        """Return the batch, images of one size together."""
        images = {row: self._image(request.epoch, row) for row in request.rows}
        groups = group_by(request.rows, lambda row: images[row].shape)
        inputs = tuple(torch.from_numpy(np.stack([images[row] for row in g])) for g in groups)
        rows = [row for group in groups for row in group]
        return _batch(inputs, self._label, rows, request)

    def _image(self, epoch: int | None, row: int) -> NDArray[np.uint8]:
        image = self._store[row]
        return image if epoch is None else self._augmenter(image, (self._seed, epoch, row))


class ActivationBatches(Source):
    """Batches of precomputed activations of several views of each image.

    Args:
        activation: (M, V, C, h, w), float16; view 0 is the image without augmentation.
        rows: Manifest row of each image, M of them.
        label: Class of every row of the manifest.
        seed: Draws the first view of each image.
    """

    def __init__(
        self,
        activation: NDArray[np.float16],
        rows: Sequence[int],
        label: NDArray[np.integer],
        seed: int,
    ) -> None:
        self._activation, self._label = activation, label
        self.largest_bytes = activation[0, 0].nbytes
        self._place = {row: place for place, row in enumerate(rows)}
        self._first = seeded_random(seed).integers(activation.shape[1], size=len(rows))

    def __getitem__(self, request: Request) -> Batch:
        """Return the batch; each epoch takes every image's next view."""
        place = np.array([self._place[row] for row in request.rows])
        view = np.zeros_like(place)
        if request.epoch is not None:
            view = (self._first[place] + request.epoch) % self._activation.shape[1]
        inputs = (torch.from_numpy(self._activation[place, view]),)
        return _batch(inputs, self._label, request.rows, request)


def _batch(
    inputs: tuple[Tensor, ...], label: NDArray[np.integer], rows: Sequence[int], request: Request
) -> Batch:
    row = np.array(rows)
    chosen = torch.from_numpy(label[row].astype(np.int64))
    return Batch(inputs, chosen, torch.from_numpy(row), request.total)


def _require_shared_memory(workers: int, batch_bytes: int) -> None:
    """Refuse workers whose batches fill /dev/shm: PyTorch would wait for them without end."""
    if not workers or not _SHARED.is_dir():
        return
    needed, free = workers * _AHEAD * batch_bytes, shutil.disk_usage(_SHARED).free
    if needed > free:
        raise ConfigError(
            f"training.workers={workers} may fill {needed / 1e6:,.0f} MB of shared memory with "
            f"batches, but {_SHARED} has {free / 1e6:,.0f} MB free; give a container more "
            "(docker run --shm-size=4g), or set training.workers=0"
        )


def load_batches(
    source: Source, order: EpochOrder, config: FinetuneConfig, device: torch.device
) -> Batches:
    """Return a loader of whole batches, read ahead by `training.workers` processes.

    Raises:
        ConfigError: The batches of the workers do not fit into the machine's shared memory.
    """
    workers = config.workers
    if workers < 0:
        workers = 0 if device.type == "cpu" else min(8, available_cores())
    batch_bytes = -(-order.image_count // len(order)) * source.largest_bytes
    _require_shared_memory(workers, batch_bytes)
    return DataLoader(
        source,
        batch_size=None,
        sampler=order,  # one sample is a whole batch
        num_workers=workers,
        persistent_workers=workers > 0,
        prefetch_factor=_AHEAD if workers else None,
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),  # otherwise every pass draws from PyTorch's own generator
    )
