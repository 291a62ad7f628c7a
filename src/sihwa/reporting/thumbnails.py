"""Images inside the page: small JPEGs as data URIs."""

import base64
import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from sihwa.inspector.evidence import checked_image

LONGEST_SIDE = 256
JPEG_QUALITY = 85


def image_uri(image: npt.NDArray[np.uint8]) -> str:
    """Return the image as a data URI: JPEG, longest side at most 256 px.

    Args:
        image: uint8 (H, W, 3), RGB.

    Raises:
        ShapeError: It is anything else.
    """
    small = Image.fromarray(checked_image(image))
    small.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    small.save(stream, format="JPEG", quality=JPEG_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
