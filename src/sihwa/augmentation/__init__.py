"""Random changes of training images, and corruptions to test under; reproducible by key."""

from sihwa.augmentation.augment import Augmenter
from sihwa.augmentation.config import AugmentationConfig
from sihwa.augmentation.corruption import CORRUPTIONS, STRENGTHS, corrupt
from sihwa.augmentation.sheet import contact_sheet, corruption_sheet

__all__ = [
    "CORRUPTIONS",
    "STRENGTHS",
    "AugmentationConfig",
    "Augmenter",
    "contact_sheet",
    "corrupt",
    "corruption_sheet",
]
