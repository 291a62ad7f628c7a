"""Corruptions of images as by a worse camera, to measure robustness.

Axes: H and W image size in pixels.
"""

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

STRENGTHS = (1, 2, 3, 4, 5)
"""Strengths of a corruption; 3 is moderate."""

_NOISE = (0.02, 0.04, 0.06, 0.09, 0.13)
"""Standard deviation, as a share of full scale."""
_UNEVEN = (0.1, 0.2, 0.3, 0.45, 0.6)
"""Relative gain of one corner and loss of the opposite one."""
_SMEAR = (0.015, 0.025, 0.035, 0.055, 0.075)
"""Length of the blur, as a share of the shorter side: 3 to 15 pixels of 200."""
_QUALITY = (60, 40, 25, 15, 8)
"""JPEG quality, on Pillow's scale of 1 to 95."""

_Pixels = NDArray[np.uint8]


def corrupt(image: _Pixels, kind: str, strength: int, key: int) -> _Pixels:
    """Return a corrupted copy of the same shape; the same key gives the same copy.

    Args:
        image: (H, W, 3), uint8 RGB.
        kind: One of CORRUPTIONS: `noise` of the sensor, the same in all channels; `uneven_light`
            from one side to the other; `motion` in some direction; `jpeg` at low quality.
        strength: One of STRENGTHS.
        key: Seeds direction and noise, at least 0; one per image, so that all strengths of a kind
            have the same direction.
    """
    return CORRUPTIONS[kind](image, STRENGTHS.index(strength), np.random.default_rng(key))


def _noise(image: _Pixels, place: int, random: np.random.Generator) -> _Pixels:
    grain = random.normal(0, 255 * _NOISE[place], (*image.shape[:2], 1))
    return _rounded(image + grain)


def _uneven_light(image: _Pixels, place: int, random: np.random.Generator) -> _Pixels:
    height, width = image.shape[:2]
    angle = random.uniform(0, 2 * np.pi)
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    ramp = np.cos(angle) * x + np.sin(angle) * y
    ramp /= abs(np.cos(angle)) + abs(np.sin(angle))  # from -1 in one corner to 1 in the other
    return _rounded(image * (1 + _UNEVEN[place] * ramp)[..., None])


def _motion(image: _Pixels, place: int, random: np.random.Generator) -> _Pixels:
    import cv2

    length = _SMEAR[place] * min(image.shape[:2])
    angle = random.uniform(0, np.pi)
    side = 2 * int(np.ceil(length / 2)) + 1
    # the path of a point while the shutter is open, sampled four times a pixel
    steps = np.linspace(-length / 2, length / 2, max(2, int(4 * length)))
    middle = side // 2
    kernel = np.zeros((side, side), np.float32)
    columns = np.rint(middle + steps * np.cos(angle)).astype(int)
    rows = np.rint(middle + steps * np.sin(angle)).astype(int)
    np.add.at(kernel, (rows, columns), 1 / len(steps))
    return np.asarray(
        cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101), dtype=np.uint8
    )


def _jpeg(image: _Pixels, place: int, random: np.random.Generator) -> _Pixels:
    del random  # JPEG is deterministic
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="JPEG", quality=_QUALITY[place])
    with Image.open(file) as decoded:
        return np.array(decoded.convert("RGB"))


def _rounded(image: NDArray[np.floating]) -> _Pixels:
    result: _Pixels = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return result


CORRUPTIONS: dict[str, Callable[[_Pixels, int, np.random.Generator], _Pixels]] = {
    "noise": _noise,
    "uneven_light": _uneven_light,
    "motion": _motion,
    "jpeg": _jpeg,
}
"""Every corruption by the name that settings use."""
