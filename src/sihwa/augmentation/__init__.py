"""Pictures as they might have been taken: randomised for training, the same for the same key."""

from sihwa.augmentation.augment import Augmenter
from sihwa.augmentation.config import AugmentationConfig
from sihwa.augmentation.sheet import contact_sheet

__all__ = ["AugmentationConfig", "Augmenter", "contact_sheet"]
