"""Images per second of the training loop, against its own step and a plain PyTorch recipe.

    python benchmarks/train.py [--images 256] [--rounds 3] [--architecture resnet18]

Three ways train the same network on the same solar cells. Their rounds alternate, so that a busy
moment of the machine slows all of them:

    loop    Sihwa's loop: images from the store, augmented; averaged weights
    memory  the same step on batches kept in memory
    recipe  a DataLoader over files: decode, resize, flip, normalise; float32, contiguous

Prints the median images per second of each with its lowest and highest round, and two ratios:
loop / memory (1 means that feeding costs nothing) and loop / recipe.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from sihwa.augmentation import Augmenter
from sihwa.dataset import ElpvConfig, Manifest, read_dataset
from sihwa.model import ModelConfig, create_network, cut_network
from sihwa.run.compose import compose_config
from sihwa.training import FinetuneConfig, TrainContext
from sihwa.training.epoch_batches import Batch, EpochOrder, ImageBatches, load_batches
from sihwa.training.image_store import ImageStore
from sihwa.training.learner import Head, Learner
from sihwa.training.loop import run_loop
from sihwa.training.objective import Objective

BATCH = 32


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=256, help="per round, default 256")
    parser.add_argument("--rounds", type=int, default=3, help="of each way, default 3")
    parser.add_argument("--architecture", default="resnet18", help="a timm name")
    given = parser.parse_args()
    manifest = read_dataset(ElpvConfig(name="ELPV"), seed=0)
    rows = np.flatnonzero(manifest.split == "train")[: given.images].tolist()
    with TemporaryDirectory() as folder:
        sihwa = _Sihwa(manifest, rows, given.architecture, Path(folder))
        recipe = _Recipe(manifest, rows, given.architecture)
        ways = {"loop": sihwa.loop, "memory": sihwa.memory, "recipe": recipe}
        rates = _measure(ways, given.rounds, len(rows))
    for name, rate in rates.items():
        middle = statistics.median(rate)
        print(f"{name:8} {middle:7.1f} images/s   {min(rate):.1f} to {max(rate):.1f}")
    for other in ("memory", "recipe"):
        pairs = [mine / theirs for mine, theirs in zip(rates["loop"], rates[other], strict=True)]
        spread = f"{min(pairs):.2f} to {max(pairs):.2f}"
        print(f"loop / {other}: {statistics.median(pairs):.2f}   {spread}")


def _measure(
    ways: dict[str, Callable[[], None]], rounds: int, images: int
) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, run in ways.items():
            begin = time.perf_counter()
            run()
            if number:  # the first round warms up
                rates[name].append(images / (time.perf_counter() - begin))
    return rates


class _InMemory(Dataset[Batch]):
    """The same batches again and again."""

    def __init__(self, source: ImageBatches, order: EpochOrder) -> None:
        self._batches = {request.rows: source[request] for request in order}

    def __getitem__(self, request: Any) -> Batch:  # noqa: ANN401 -- a Request
        return self._batches[request.rows]


class _FixedOrder(EpochOrder):
    """The order of the first epoch in every epoch."""

    def set_epoch(self, epoch: int) -> None:
        """Ignore it."""


class _Sihwa:
    def __init__(
        self, manifest: Manifest, rows: Sequence[int], architecture: str, folder: Path
    ) -> None:
        self.rows, self.folder, self.number = rows, folder, 0
        self.config = FinetuneConfig(name="bench", epochs=1, batch_size=BATCH)
        self.label = manifest.label_index
        settings = ModelConfig(
            name=architecture, architecture=architecture, weights="none", stages=0
        )
        self.network = create_network(settings, len(manifest.classes))
        store = ImageStore(
            manifest, rows, size_of=lambda *size: size, memory_mib=4096, cache_dir=folder
        )
        surface = compose_config(["training=finetune"]).augmentation
        self.source = ImageBatches(store, self.label, Augmenter(surface), 0)
        self.in_memory = _InMemory(self.source, self._order(_FixedOrder))

    def loop(self) -> None:
        self._train(self.source, self._order(EpochOrder))

    def memory(self) -> None:
        self._train(self.in_memory, self._order(_FixedOrder))

    def _order(self, kind: type[EpochOrder]) -> EpochOrder:
        return kind(self.rows, self.label[self.rows], BATCH, seed=0)

    def _train(self, source: Dataset[Batch], order: EpochOrder) -> None:
        self.number += 1
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        cut = cut_network(self.network.to(device), 1.0)
        width = self.network.classifier.in_features
        learner = Learner(
            lambda inputs: torch.cat([cut.frozen(images) for images in inputs]),
            cut.trained,
            Head(np.zeros(width), np.ones(width), 2, dropout=0),
            Objective(self.config.loss, [1, 1]),
            self.config,
        )
        context = TrainContext(self.folder / str(self.number), self.folder, device, seed=0)
        batches = load_batches(source, order, self.config, device)
        run_loop(learner, batches, None, self.config, context, lambda *_: None)


class _Files(Dataset[tuple[torch.Tensor, int]]):
    def __init__(self, paths: Sequence[str], label: Sequence[int]) -> None:
        self._paths, self._label = paths, label
        self._change = v2.Compose(
            [
                v2.Resize((224, 224)),
                v2.RandomHorizontalFlip(),
                v2.RandomVerticalFlip(),
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
            ]
        )

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        with Image.open(self._paths[index]) as image:
            return self._change(image.convert("RGB")), self._label[index]


class _Recipe:
    def __init__(self, manifest: Manifest, rows: Sequence[int], architecture: str) -> None:
        path = manifest.table["path"].to_pylist()
        files = _Files([path[row] for row in rows], manifest.label_index[rows].tolist())
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.loader = DataLoader(files, BATCH, shuffle=True, num_workers=2)
        self.network = timm.create_model(architecture, num_classes=2).to(self.device)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), 1e-3)

    def __call__(self) -> None:
        self.network.train()
        for image, label in self.loader:
            logit = self.network(image.to(self.device))
            loss = torch.nn.functional.cross_entropy(logit, label.to(self.device))
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()


if __name__ == "__main__":
    main()
