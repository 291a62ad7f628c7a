"""Labelled images, whatever their source, as one manifest with fixed splits."""

from sihwa.dataset.config import (
    AutoConfig,
    DatasetConfig,
    ElpvConfig,
    ImageFolderConfig,
    NeuDetConfig,
    PublicSetConfig,
    SplitConfig,
    TabularConfig,
)
from sihwa.dataset.group_candidates import group_candidates, image_orders
from sihwa.dataset.image_facts import ImageFacts
from sihwa.dataset.manifest import Manifest, read_manifest
from sihwa.dataset.measured_image import measure_manifest
from sihwa.dataset.moved_files import move_manifest
from sihwa.dataset.read import read_as_given, read_dataset
from sihwa.dataset.region import Region, largest_size, read_region
from sihwa.dataset.split import (
    LEAST,
    SPLITS,
    assign_folds,
    assign_splits,
    find_components,
    thin_training,
)

__all__ = [
    "LEAST",
    "SPLITS",
    "AutoConfig",
    "DatasetConfig",
    "ElpvConfig",
    "ImageFacts",
    "ImageFolderConfig",
    "Manifest",
    "NeuDetConfig",
    "PublicSetConfig",
    "Region",
    "SplitConfig",
    "TabularConfig",
    "assign_folds",
    "assign_splits",
    "find_components",
    "group_candidates",
    "image_orders",
    "largest_size",
    "measure_manifest",
    "move_manifest",
    "read_as_given",
    "read_dataset",
    "read_manifest",
    "read_region",
    "thin_training",
]
