"""Images inside a page, which then needs no other file."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sihwa.inspector.evidence import checked_image


def image_uri(image: NDArray[np.uint8], longest_side: int = 256) -> str:
    """Return an image (H, W, 3) as a JPEG of at most `longest_side` pixels in a data URI."""
    small = Image.fromarray(checked_image(image))
    small.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    small.save(stream, format="JPEG", quality=85, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
