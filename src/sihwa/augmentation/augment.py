"""Random changes of one picture, made by albumentations.

Axes: H and W picture size in pixels.
"""

import os
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sihwa.augmentation.config import AugmentationConfig

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # or it asks the network for its newest version

import albumentations
import cv2

__all__ = ["Augmenter"]


class Augmenter:
    """Changes pictures at random; one key always gives the same change.

    An instance keeps its random state while it works, so each thread needs one of its own.

    Args:
        config: What may happen.
    """

    def __init__(self, config: AugmentationConfig) -> None:
        self.config = config
        self._changes = [*_symmetries(config.symmetry), *_exposures(config)]
        self._pipeline = albumentations.Compose(self._changes)

    def __bool__(self) -> bool:
        """Whether anything can happen at all."""
        return bool(self._changes)

    def __call__(self, image: NDArray[np.uint8], key: Sequence[int]) -> NDArray[np.uint8]:
        """Return a changed copy; right-angle turns swap H and W.

        Args:
            image: (H, W, 3), uint8 RGB.
            key: What the change is drawn from, such as seed, epoch and row; each at least 0.

        >>> turn = Augmenter(AugmentationConfig(name="turn", symmetry="turn"))
        >>> image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
        >>> bool((turn(image, (0, 1)) == turn(image, (0, 1))).all())
        True
        """
        if not self._changes:
            return image
        seed = np.random.SeedSequence(key)
        # one state for all: given a seed, each change would draw the very same numbers
        self._pipeline.set_random_state(
            np.random.default_rng(seed), random.Random(int(seed.generate_state(1, np.uint64)[0]))
        )
        changed: NDArray[np.uint8] = self._pipeline(image=image)["image"]
        return np.ascontiguousarray(changed)


def _symmetries(symmetry: str) -> list[Any]:
    mirror = albumentations.HorizontalFlip(p=0.5)
    return {
        "none": [],
        "mirror": [mirror],
        "flip": [mirror, albumentations.VerticalFlip(p=0.5)],
        "turn": [albumentations.D4(p=1)],
    }[symmetry]


def _exposures(config: AugmentationConfig) -> list[Any]:
    """Return the changes in the order in which a camera would make them."""
    chance = config.probability
    offers: list[tuple[float, Any, dict[str, Any]]] = [
        (
            config.shift,
            albumentations.CropAndPad,
            {
                "percent": (0.0, config.shift),  # nothing below 0: it only ever pads
                "border_mode": cv2.BORDER_REFLECT_101,
                "keep_size": True,
            },
        ),
        (
            config.uneven_light,
            albumentations.OneOf,
            {"transforms": _uneven_light(config.uneven_light)},
        ),
        (
            max(config.brightness, config.contrast),
            albumentations.RandomBrightnessContrast,
            {
                "brightness_limit": config.brightness,
                "contrast_limit": config.contrast,
                "brightness_by_max": True,
            },
        ),
        (
            config.defocus_px,
            albumentations.GaussianBlur,
            {"blur_limit": 0, "sigma_limit": (0.1, max(0.1, config.defocus_px))},
        ),
        (
            config.motion_px,
            albumentations.MotionBlur,
            {"blur_limit": (3, max(3, config.motion_px))},
        ),
        (
            config.noise,
            albumentations.GaussNoise,
            {"std_range": (0.0, config.noise), "per_channel": False},
        ),
    ]
    return [make(**settings, p=chance) for strength, make, settings in offers if strength > 0]


def _uneven_light(strength: float) -> list[Any]:
    reach = (0.01, max(0.01, strength))  # the library refuses less
    return [
        albumentations.Illumination(mode=mode, intensity_range=reach, p=1)
        for mode in ("linear", "gaussian")
    ]
