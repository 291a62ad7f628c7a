"""A folder of parts as a manifest, and where to train on it."""

from pathlib import Path

import pytest
import torch

from sihwa.augmentation import AugmentationConfig
from sihwa.dataset import ImageFolderConfig, Manifest, read_dataset
from sihwa.training import TrainContext
from tests.helpers import random_images, save_images


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Light and dark parts of two sizes, 24 of them for training."""
    root = tmp_path_factory.mktemp("parts")
    for size in (40, 60):
        dark, light = (random_images(10, size, 50, seed) // 2 for seed in (1, 2))
        save_images(root / "good", dark + 40, prefix=f"{size} ")
        save_images(root / "scratch", 87 + light, prefix=f"{size} ")
    return read_dataset(ImageFolderConfig(name="parts", root=str(root)), seed=0)


@pytest.fixture
def context(tmp_path: Path) -> TrainContext:
    return TrainContext(
        tmp_path / "run",
        tmp_path / "cache",
        torch.device("cpu"),
        seed=0,
        augmentation=AugmentationConfig(name="test", symmetry="flip", brightness=0.1),
    )
