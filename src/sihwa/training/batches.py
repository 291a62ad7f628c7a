"""Batches of an epoch: which images, in which order, augmented how. All follows from the seed.

Axes: N images in a batch, H and W image size in pixels, C, h and w activation size, V views.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from sihwa.augmentation import Augmenter
from sihwa.images import available_cores
from sihwa.training.config import FinetuneConfig
from sihwa.training.context import world
from sihwa.training.image_store import ImageStore
from sihwa.training.prefetch import group_by


class Request(NamedTuple):
    """Which images make up a batch."""

    epoch: int
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


class BatchSource(Protocol):
    """Makes requested batches."""

    def __getitem__(self, request: Request) -> Batch:
        """Return the batch."""
        ...


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
        seed: Seeds the order; None keeps the order of the rows.
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
        """Return the number of batches of an epoch."""
        return self._count

    def __iter__(self) -> Iterator[Request]:
        """Yield the requests of the chosen epoch."""
        epoch = self._epoch
        for batch in np.array_split(self._drawn(epoch), self._count):
            yield Request(epoch, tuple(batch[self._share].tolist()), len(batch))

    def _drawn(self, epoch: int) -> NDArray[np.integer]:
        if self._seed is None:
            return self._rows
        rng = seeded_random(self._seed, epoch)
        if self._weight is None:
            return rng.permutation(self._rows)
        return rng.choice(self._rows, len(self._rows), p=self._weight)


def _weights(label: NDArray[np.integer], oversample: float) -> NDArray[np.floating]:
    count = np.bincount(label)
    weight = count[label] ** -float(oversample)
    result: NDArray[np.floating] = weight / weight.sum()
    return result


class ImageBatches(Dataset[Batch]):
    """Batches of augmented images.

    Args:
        store: Decoded images.
        label: Class of every row of the manifest.
        augmenter: None leaves images unchanged.
        seed: Seeds the augmentation, with epoch and row.
    """

    def __init__(
        self,
        store: ImageStore,
        label: NDArray[np.integer],
        augmenter: Augmenter | None,
        seed: int,
    ) -> None:
        self._store = store
        self._label = label
        self._augmenter = augmenter
        self._seed = seed

    def __getitem__(self, request: Request) -> Batch:
        """Return the batch, images of one size together."""
        images = {row: self._image(request.epoch, row) for row in request.rows}
        groups = group_by(request.rows, lambda row: images[row].shape)
        inputs = tuple(torch.from_numpy(np.stack([images[row] for row in g])) for g in groups)
        rows = np.array([row for group in groups for row in group])
        label = torch.from_numpy(self._label[rows].astype(np.int64))
        return Batch(inputs, label, torch.from_numpy(rows), request.total)

    def _image(self, epoch: int, row: int) -> NDArray[np.uint8]:
        image = self._store[row]
        return self._augmenter(image, (self._seed, epoch, row)) if self._augmenter else image


class ActivationBatches(Dataset[Batch]):
    """Batches of precomputed activations of several views of each image.

    Args:
        activation: (M, V, C, h, w), float16; view 0 is the image without augmentation.
        place: Manifest row → index in [0, M).
        label: Class of every row of the manifest.
        seed: Draws the first view of each image; None always takes view 0.
    """

    def __init__(
        self,
        activation: NDArray[np.float16],
        place: dict[int, int],
        label: NDArray[np.integer],
        seed: int | None,
    ) -> None:
        self._activation = activation
        self._place = place
        self._label = label
        self._views = 1 if seed is None else activation.shape[1]
        self._first = seeded_random(seed or 0).integers(self._views, size=len(place))

    def __getitem__(self, request: Request) -> Batch:
        """Return the batch; each epoch takes every image's next view."""
        places = np.array([self._place[row] for row in request.rows])
        view = (self._first[places] + request.epoch) % self._views
        rows = np.array(request.rows)
        return Batch(
            (torch.from_numpy(self._activation[places, view]),),
            torch.from_numpy(self._label[rows].astype(np.int64)),
            torch.from_numpy(rows),
            request.total,
        )


def load_batches(
    source: BatchSource, order: EpochOrder, config: FinetuneConfig, device: torch.device
) -> Batches:
    """Return a loader of whole batches, read ahead by `training.workers` processes."""
    workers = config.workers
    if workers < 0:
        workers = 0 if device.type == "cpu" else min(8, available_cores())
    return DataLoader(
        source,  # type: ignore[arg-type]  # indexed by requests, not by numbers
        batch_size=None,
        sampler=order,  # one sample is a whole batch
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),  # otherwise every pass draws from PyTorch's own generator
    )
