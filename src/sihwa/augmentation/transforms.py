"""Augmentation settings as a pipeline of albumentations."""

import os
from typing import Any

from sihwa.augmentation.config import AugmentationConfig

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # otherwise it looks for updates online

import albumentations
import cv2


def create_pipeline(config: AugmentationConfig) -> Any:  # noqa: ANN401 -- the library has no types
    """Return the `albumentations.Compose` of the changes that the settings allow."""
    return albumentations.Compose([*_symmetries(config.symmetry), *_exposures(config)])


def _symmetries(symmetry: str) -> list[Any]:
    mirror = albumentations.HorizontalFlip(p=0.5)
    return {
        "none": [],
        "mirror": [mirror],
        "flip": [mirror, albumentations.VerticalFlip(p=0.5)],
        "turn": [albumentations.D4(p=1)],
    }[symmetry]


def _exposures(config: AugmentationConfig) -> list[Any]:
    """Return the changes in the order in which a camera makes them."""
    chance = config.probability
    offers: list[tuple[float, Any, dict[str, Any]]] = [
        (
            config.shift,
            albumentations.CropAndPad,
            {
                "percent": (0.0, config.shift),  # from 0: it only pads
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
