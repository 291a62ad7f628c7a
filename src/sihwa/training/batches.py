"""Batches of an epoch: which images, in which order, changed how; all of it from the seed.

Axes: N images in a batch, H and W image size in pixels, C, h and w activation size, V views.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from sihwa.augmentation import Augmenter
from sihwa.training.image_store import ImageStore


class Request(NamedTuple):
    """Which images make up a batch."""

    epoch: int
    rows: tuple[int, ...]
    """Manifest rows of this process."""
    total: int
    """Images of the batch over all processes."""


class Batch(NamedTuple):
    """Images of one batch, those of one size together."""

    parts: tuple[Tensor, ...]
    """Images (n, H, W, 3) uint8, or activations (n, C, h, w); N in all."""
    label: Tensor
    """Class indices, (N,)."""
    row: Tensor
    """Manifest rows, (N,)."""
    total: int
    """Images of the batch over all processes."""


class BatchSource(Protocol):
    """Anything that makes the batch that is asked for."""

    def __getitem__(self, request: Request) -> Batch:
        """Return the batch."""
        ...


def random_of(*key: int) -> np.random.Generator:
    """Return random numbers that depend on the key alone, not on what was drawn before."""
    return np.random.default_rng(np.random.SeedSequence(key))


class EpochOrder(Sampler[Request]):
    """The batches of one epoch, drawn from seed and epoch alone.

    Batches are of nearly equal size (never one small one at the end, which batch norms could not
    stand), and each is divided over the processes to within one image.

    Args:
        rows: Manifest rows to train on, M of them.
        label: Class of each, (M,).
        batch_size: Images per batch over all processes; M at most are taken.
        seed: What the order is drawn from; None keeps the order of the rows.
        oversample: 0 to take every row once, up to 1 to draw every class equally often.
        rank: Number of this process.
        world: How many there are.
    """

    def __init__(
        self,
        rows: Sequence[int],
        label: NDArray[np.integer],
        batch_size: int,
        *,
        seed: int | None,
        oversample: float = 0.0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self._rows = np.asarray(rows)
        self._weight = _weights(label, oversample) if oversample else None
        self._seed = seed
        self._share = slice(rank, None, world)
        # every process needs an image of every batch, or it would wait for the others forever
        most = max(1, len(rows) // world)
        self._count = min(most, max(1, round(len(rows) / batch_size)))
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that comes next."""
        self._epoch = epoch

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return self._count

    def __iter__(self) -> Iterator[Request]:
        """Yield the batches of the chosen epoch."""
        epoch = self._epoch
        for batch in np.array_split(self._drawn(epoch), self._count):
            yield Request(epoch, tuple(batch[self._share].tolist()), len(batch))

    def _drawn(self, epoch: int) -> NDArray[np.integer]:
        if self._seed is None:
            return self._rows
        rng = random_of(self._seed, epoch)
        if self._weight is None:
            return rng.permutation(self._rows)
        return rng.choice(self._rows, len(self._rows), p=self._weight)


def _weights(label: NDArray[np.integer], oversample: float) -> NDArray[np.floating]:
    count = np.bincount(label)
    weight = count[label] ** -float(oversample)
    result: NDArray[np.floating] = weight / weight.sum()
    return result


class ImageBatches(Dataset[Batch]):
    """Batches of images, each changed by an augmenter.

    Args:
        store: Decoded images.
        label: Class of every row of the manifest.
        augmenter: Changes them; None leaves them as they are.
        seed: What the changes are drawn from, with epoch and row.
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
        images = [self._image(request.epoch, row) for row in request.rows]
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for place, image in enumerate(images):
            by_shape.setdefault(image.shape, []).append(place)
        parts = tuple(
            torch.from_numpy(np.stack([images[place] for place in same]))
            for same in by_shape.values()
        )
        rows = np.array([request.rows[place] for same in by_shape.values() for place in same])
        label = torch.from_numpy(self._label[rows].astype(np.int64))
        return Batch(parts, label, torch.from_numpy(rows), request.total)

    def _image(self, epoch: int, row: int) -> NDArray[np.uint8]:
        image = self._store[row]
        if self._augmenter is None:
            return image
        return self._augmenter(image, (self._seed, epoch, row))


class ActivationBatches(Dataset[Batch]):
    """Batches of activations that were computed before, for several views of each image.

    Args:
        activation: (M, V, C, h, w), float16; view 0 is the image as it was taken.
        place: Manifest row → place among the M.
        label: Class of every row of the manifest.
        seed: Where each image's round through its views begins; None always takes view 0.
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
        self._views = activation.shape[1]
        first = np.zeros(len(place), np.int64)
        self._first = (
            first if seed is None else random_of(seed).integers(self._views, size=len(first))
        )
        self._moves = seed is not None

    def __getitem__(self, request: Request) -> Batch:
        """Return the batch; each epoch takes the next view of every image."""
        places = np.array([self._place[row] for row in request.rows])
        view = (self._first[places] + request.epoch * self._moves) % self._views
        rows = np.array(request.rows)
        return Batch(
            (torch.from_numpy(self._activation[places, view]),),
            torch.from_numpy(self._label[rows].astype(np.int64)),
            torch.from_numpy(rows),
            request.total,
        )
