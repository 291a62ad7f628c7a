"""What is taken from each image file in the one pass that reads a data set."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sihwa.dataset.image_facts import ImageFacts, measure_pixels, stored_form
from sihwa.dataset.manifest import Manifest
from sihwa.dataset.near_copies import make_thumbnail
from sihwa.errors import UnreadableImage
from sihwa.images import (
    Decoding,
    Levels,
    decoded_image,
    is_one_colour,
    map_with_progress,
    read_bytes,
)
from sihwa.storage import sha256_of_bytes


class MeasuredImage(NamedTuple):
    """One image file."""

    sha256: str
    thumbnail: NDArray[np.uint8]
    """As of `make_thumbnail`."""
    facts: ImageFacts
    levels: Levels | None
    """Of an image of more than 8 bits."""
    is_flat: bool
    """Whether all pixels are the same."""


def measure_image(path: str, decoding: Decoding) -> MeasuredImage | UnreadableImage:
    """Read and measure an image; the error of an unreadable one is returned, not raised."""
    try:
        content = read_bytes(path)
        with decoded_image(content, path, decoding) as (pixels, levels):
            facts = measure_pixels(pixels, stored_form(content))
            thumbnail = make_thumbnail(pixels)
            is_flat = is_one_colour(pixels)
    except UnreadableImage as error:
        return error
    return MeasuredImage(sha256_of_bytes(content), thumbnail, facts, levels, is_flat)


def measure_manifest(manifest: Manifest) -> list[ImageFacts]:
    """Return the facts of every image, in the manifest's order.

    A manifest that was just read has them; images of one that a run wrote are read again.

    Raises:
        UnreadableImage: An image vanished or changed since the manifest was made.
    """
    content: list[str] = manifest.table["sha256"].to_pylist()
    path = dict(zip(content, manifest.files, strict=True))
    missing = [sha256 for sha256 in path if sha256 not in manifest.facts]
    if not missing:
        return [manifest.facts[sha256] for sha256 in content]
    measured = map_with_progress(
        "measuring", lambda sha256: measure_image(path[sha256], manifest.decoding), missing
    )
    found = dict(manifest.facts)
    for sha256, one in zip(missing, measured, strict=True):
        if isinstance(one, UnreadableImage):
            raise one
        if one.sha256 != sha256:
            raise UnreadableImage(path[sha256], "changed since it was read; begin again")
        found[sha256] = one.facts
    return [found[sha256] for sha256 in content]
