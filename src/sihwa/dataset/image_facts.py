"""Facts of one image that need no network: how it was stored, and how light, sharp and noisy it is.

Axes: H and W image size in pixels.
"""

import contextlib
import io
import math
from collections.abc import Mapping
from datetime import datetime

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

_CAMERA = {"make": 271, "model": 272}
"""EXIF tags of the camera."""
_EXIF, _TAKEN, _CHANGED = 0x8769, 36867, 306
"""EXIF tags: the block of the camera's data, DateTimeOriginal in it, and DateTime."""
_BITS = {"1": 1, "I;16": 16, "I;16L": 16, "I;16B": 16, "I;16N": 16, "I": 16, "F": 32}
_BORDER = 0.03
_SIDE = 256
"""Sharpness and noise are measured in a centred window of at most so many pixels a side."""
_DARK, _BRIGHT = 3, 252


class ImageFacts(msgspec.Struct, frozen=True):
    """What is measured of one image."""

    width: int
    height: int
    format: str
    """Such as `JPEG`."""
    mode: str
    """Pillow's name of the stored channels, such as `L` or `RGB`."""
    bits: int
    """Per channel, as stored."""
    camera: str
    """Make and model by EXIF; empty without."""
    mean: tuple[float, float, float]
    """Mean red, green and blue, in [0, 255]."""
    border: float
    """Mean grey of a border of 3 % of the width and height, in [0, 255]."""
    contrast: float
    """Standard deviation of grey, in [0, 127.5]."""
    dark: float
    """Share of pixels that are black or nearly so."""
    bright: float
    """Share of pixels that are white or nearly so."""
    sharpness: float
    """Root mean square of the Laplacian of grey."""
    noise: float
    """Standard deviation of the noise, in grey levels."""
    exif_time: str = ""
    """When it was captured by EXIF, as 2026-01-02T03:04:05; empty without."""

    @property
    def grey(self) -> float:
        """Mean of the three channels."""
        return sum(self.mean) / 3


def stored_form(content: bytes) -> Mapping[str, str]:
    """Return format, mode, camera and exif_time of an image file, as far as its header says."""
    found = {"format": "", "mode": "", "camera": "", "exif_time": ""}
    with contextlib.suppress(Exception), Image.open(io.BytesIO(content)) as image:
        found |= {"format": image.format or "", "mode": image.mode}
        # of a PNG, Pillow would decode all pixels to look for EXIF behind them
        exif = image.getexif() if image.format != "PNG" or "exif" in image.info else Image.Exif()
        words = (str(exif.get(tag) or "").strip("\0 ") for tag in _CAMERA.values())
        found["camera"] = " ".join(filter(None, words))[:100]
        text = str(exif.get_ifd(_EXIF).get(_TAKEN) or exif.get(_CHANGED) or "").strip("\0 ")
        if text:
            found["exif_time"] = datetime.strptime(text, "%Y:%m:%d %H:%M:%S").isoformat()
    return found


def measure_pixels(pixels: NDArray[np.uint8], form: Mapping[str, str]) -> ImageFacts:
    """Measure a decoded image.

    Args:
        pixels: (H, W, 3).
        form: As of `stored_form`.

    Source: sharpness: Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield microscopy",
    the variance of the Laplacian. Noise: Immerkaer 1996, "Fast noise variance estimation", whose
    mask leaves out lines and edges.
    """
    height, width, _ = pixels.shape
    level = np.arange(256)
    if _is_grey(pixels):
        grey = np.ascontiguousarray(pixels[..., 1])
        count = _shares(grey)
        mean = [float(count @ level)] * 3
    else:
        grey = (pixels.sum(axis=2, dtype=np.uint16) // 3).astype(np.uint8)
        count = _shares(grey)
        mean = [float(_shares(pixels[..., channel]) @ level) for channel in range(3)]
    average = float(count @ level)
    sharpness, noise = _fine_detail(grey)
    return ImageFacts(
        width=width,
        height=height,
        format=form["format"],
        mode=form["mode"],
        bits=_BITS.get(form["mode"], 8),
        camera=form["camera"],
        mean=(mean[0], mean[1], mean[2]),
        border=_border_mean(grey),
        contrast=math.sqrt(float(count @ (level - average) ** 2)),
        dark=float(count[: _DARK + 1].sum()),
        bright=float(count[_BRIGHT:].sum()),
        sharpness=sharpness,
        noise=noise,
        exif_time=form.get("exif_time", ""),
    )


def _shares(grey: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the share of pixels of each level, (256,)."""
    return np.bincount(grey.ravel(), minlength=256) / grey.size


def _is_grey(pixels: NDArray[np.uint8]) -> bool:
    """Tell whether the channels are the same, by a grid of pixels first."""
    some = pixels[::8, ::8]
    if (some[..., 0] != some[..., 1]).any() or (some[..., 2] != some[..., 1]).any():
        return False
    return bool(
        (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 2] == pixels[..., 1]).all()
    )


def _border_mean(grey: NDArray[np.uint8]) -> float:
    height, width = grey.shape
    across, down = max(1, round(_BORDER * width)), max(1, round(_BORDER * height))
    edges = (grey[:down], grey[-down:], grey[down:-down, :across], grey[down:-down, -across:])
    values = [edge.ravel() for edge in edges if edge.size]
    return float(np.concatenate(values).mean())


def _fine_detail(grey: NDArray[np.uint8]) -> tuple[float, float]:
    """Return sharpness and noise; 0 for an image of less than 3 pixels a side."""
    height, width = grey.shape
    if min(height, width) < 3:
        return 0.0, 0.0
    top, left = max(0, (height - _SIDE) // 2), max(0, (width - _SIDE) // 2)
    part = grey[top : top + _SIDE, left : left + _SIDE].astype(np.int16)
    # second differences along each axis; the noise mask is their product
    down = part[:-2] - 2 * part[1:-1] + part[2:]
    across = part[:, :-2] - 2 * part[:, 1:-1] + part[:, 2:]
    laplacian = down[:, 1:-1] + across[1:-1]
    mask = down[:, :-2] - 2 * down[:, 1:-1] + down[:, 2:]
    noise = np.sqrt(np.pi / 2) * float(np.abs(mask).mean(dtype=np.float64)) / 6
    return float(np.sqrt(np.square(laplacian.astype(np.float32)).mean())), float(noise)
