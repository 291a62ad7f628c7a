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
    changes: list[Any] = []
    if config.shift:
        # from 0: it only pads
        percent, border = (0.0, config.shift), cv2.BORDER_REFLECT_101
        changes += [albumentations.CropAndPad(percent=percent, border_mode=border, p=chance)]
    if config.uneven_light:
        changes += [albumentations.OneOf(_uneven_light(config.uneven_light), p=chance)]
    if config.brightness or config.contrast:
        changes += [
            albumentations.RandomBrightnessContrast(config.brightness, config.contrast, p=chance)
        ]
    if config.defocus_px:
        sigma = (0.1, max(0.1, config.defocus_px))
        changes += [albumentations.GaussianBlur(blur_limit=0, sigma_limit=sigma, p=chance)]
    if config.motion_px:
        changes += [albumentations.MotionBlur(blur_limit=(3, config.motion_px), p=chance)]
    if config.noise:
        deviation = (0.0, config.noise)
        changes += [albumentations.GaussNoise(std_range=deviation, per_channel=False, p=chance)]
    return changes


def _uneven_light(strength: float) -> list[Any]:
    reach = (0.01, max(0.01, strength))  # the library refuses less
    return [
        albumentations.Illumination(mode=mode, intensity_range=reach, p=1)
        for mode in ("linear", "gaussian")
    ]
