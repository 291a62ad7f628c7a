"""Small changes of an image, as light, focus and the part's place vary on a line.

The strengths below are what a line that is kept in order may show from part to part; each trial
draws one from the whole range. Axes: H and W image size in pixels.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

GAMMA = 0.10
"""Greatest relative change of the exponent, up or down."""
GAIN = 0.05
"""Greatest relative change of the brightness, up or down."""
BLUR = 0.005
"""Greatest standard deviation of the blur, as a share of the shorter side: 1 pixel of 200."""
SHIFT = 0.02
"""Greatest shift in each direction, as a share of that side."""
ROTATION = 1.0
"""Greatest rotation in degrees, either way: it moves a corner by about 1 % of the side."""

_Pixels = NDArray[np.uint8]
_Random = np.random.Generator


def change_image(image: _Pixels, name: str, rng: _Random) -> _Pixels:
    """Return a changed copy of an image of the same shape, (H, W, 3), uint8.

    `name` is one of CHANGES. What comes in from outside is the nearest pixel of the edge.
    """
    return CHANGES[name](image, rng)


def _gamma(image: _Pixels, rng: _Random) -> _Pixels:
    power = math.exp(rng.uniform(-1, 1) * math.log1p(GAMMA))
    levels = np.rint(255 * (np.arange(256) / 255) ** power).astype(np.uint8)
    return np.asarray(levels[image])


def _gain(image: _Pixels, rng: _Random) -> _Pixels:
    levels = np.arange(256) * (1 + rng.uniform(-GAIN, GAIN))
    return np.asarray(np.clip(np.rint(levels), 0, 255).astype(np.uint8)[image])


def _focus(image: _Pixels, rng: _Random) -> _Pixels:
    radius = rng.uniform(0, BLUR) * min(image.shape[:2])
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def _shift(image: _Pixels, rng: _Random) -> _Pixels:
    height, width = image.shape[:2]
    return _move(image, rng.uniform(-SHIFT, SHIFT) * width, rng.uniform(-SHIFT, SHIFT) * height, 0)


def _rotation(image: _Pixels, rng: _Random) -> _Pixels:
    return _move(image, 0, 0, math.radians(rng.uniform(-ROTATION, ROTATION)))


def _move(image: _Pixels, right: float, down: float, angle: float) -> _Pixels:
    """Shift by pixels and rotate by radians around the centre, bilinearly."""
    height, width = image.shape[:2]
    margin = math.ceil(max(height, width) * max(SHIFT, math.radians(ROTATION))) + 2
    wide = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    cosine, sine = math.cos(angle), math.sin(angle)
    across, along = width / 2, height / 2
    # the place in the padded image that each pixel comes from
    place = (
        cosine, sine, across + margin - right - cosine * across - sine * along,
        -sine, cosine, along + margin - down + sine * across - cosine * along,
    )  # fmt: skip
    moved = Image.fromarray(wide).transform(
        (width, height), Image.Transform.AFFINE, place, Image.Resampling.BILINEAR
    )
    return np.asarray(moved)


CHANGES: dict[str, Callable[[_Pixels, _Random], _Pixels]] = {
    "gamma": _gamma,
    "gain": _gain,
    "focus": _focus,
    "shift": _shift,
    "rotation": _rotation,
}
"""Every change by its name."""
