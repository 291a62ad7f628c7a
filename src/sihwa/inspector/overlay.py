"""The evidence drawn over an image.

Axes: h and w evidence-map size, H and W image size in pixels.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image

from sihwa.errors import ShapeError

STRONGEST_TINT = 0.75
# Five stops of matplotlib's inferno: lightness rises steadily, also for colour-blind eyes.
TINT_STOPS = np.array([(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)])


def evidence_overlay(
    image: npt.NDArray[np.uint8], evidence: npt.NDArray[np.floating]
) -> npt.NDArray[np.uint8]:
    """Tint the image, in grey, where the evidence for the predicted class lies.

    Args:
        image: uint8 (H, W, 3), RGB.
        evidence: (h, w), any scale: only what is above 0 counts, relative to its largest.
            What is not finite counts as 0.

    Returns:
        uint8 (H, W, 3); the grey image where there is no evidence at all.

    Raises:
        ShapeError: The shapes are not these.
    """
    pillow = Image.fromarray(checked_image(image))
    grey = np.asarray(pillow.convert("L").convert("RGB"), dtype=np.float64)
    heat = _stretched(evidence, pillow.size)[:, :, None]
    stop = np.linspace(0, 1, len(TINT_STOPS))
    tint = np.stack([np.interp(heat[:, :, 0], stop, channel) for channel in TINT_STOPS.T], axis=2)
    weight = STRONGEST_TINT * heat
    return np.round(grey * (1 - weight) + tint * weight).astype(np.uint8)


def _stretched(
    evidence: npt.NDArray[np.floating], size: tuple[int, int]
) -> npt.NDArray[np.float64]:
    value = np.asarray(evidence, dtype=np.float64)
    if value.ndim != 2 or value.size == 0:
        raise ShapeError(f"evidence must be (h, w), but got shape {value.shape}")
    value = np.maximum(np.nan_to_num(value, nan=0.0, posinf=0.0, neginf=0.0), 0.0)
    value = value / (value.max() or 1.0)
    large = Image.fromarray(value.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
    return np.clip(np.asarray(large, dtype=np.float64), 0.0, 1.0)


def checked_image(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the image, C-contiguous.

    Raises:
        ShapeError: It is not uint8 (H, W, 3), or empty.
    """
    value = np.asarray(image)
    if value.ndim != 3 or value.shape[2] != 3 or value.size == 0 or value.dtype != np.uint8:
        raise ShapeError(
            f"image must be uint8 (H, W, 3), but got {value.dtype} of shape {value.shape}"
        )
    return np.ascontiguousarray(value)
