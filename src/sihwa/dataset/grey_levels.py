"""Which value of the images is white, and what there is to say of their grey levels."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sihwa.dataset.measured_image import MeasuredImage
from sihwa.errors import ConfigError, UnreadableImage
from sihwa.images import (
    SIXTEEN_BIT_WHITE,
    Decoding,
    Levels,
    map_with_progress,
    parse_white,
    read_bytes,
    read_levels,
)

_NEARLY_BLACK = SIXTEEN_BIT_WHITE // 4
"""Images of 16 bits that reach no higher hold 14 bits or fewer."""


def find_white(
    setting: Any,  # noqa: ANN401 -- as of `dataset.white`
    paths: Sequence[str],
    decoding: Decoding,
) -> tuple[Decoding, tuple[str, ...]]:
    """Return the decoding with the white of a setting, and notes; `auto` reads the images for it.

    `auto` takes the next 2^n - 1 above the greatest value of all 16-bit images.

    Raises:
        ConfigError: `auto`, and an image has signed, 32-bit or floating-point pixels.
    """
    if setting != "auto":
        return replace(decoding, white=parse_white(setting, "dataset.white")), ()

    def read(path: str) -> Levels | UnreadableImage | None:
        try:
            return read_levels(read_bytes(path), path, decoding)
        except UnreadableImage as error:
            return error

    found = map_with_progress("finding white", read, paths)
    for one in found:
        if isinstance(one, UnreadableImage) and "dataset.white" in one.reason:
            raise ConfigError(f"dataset.white=auto finds the white of 16-bit images only; {one}")
    levels = [one for one in found if isinstance(one, Levels)]
    if not levels:
        return decoding, ("dataset.white=auto changes nothing: no image is 16-bit grey",)
    highest = int(max(one.highest for one in levels))
    white = 2 ** max(8, highest.bit_length()) - 1
    note = (
        f"dataset.white=auto: the greatest value of {len(levels)} 16-bit images is {highest:,}, so "
        f"{white:,} is white"
    )
    return replace(decoding, white=(0.0, float(white))), (note,)


def level_notes(
    paths: Sequence[str], measured: Sequence[MeasuredImage], decoding: Decoding
) -> tuple[str, ...]:
    """Return notes of images that are nearly black, clipped or of one colour."""
    levels = [one.levels for one in measured if one.levels]
    grey = [one for one in levels if not one.is_colour]
    colour = [one for one in levels if one.is_colour]
    white_notes = _clipped_notes(grey, decoding) if decoding.white else _dark_notes(grey)
    return (*white_notes, *_dark_colour_notes(colour), *_flat_notes(paths, measured))


def _dark_notes(grey: Sequence[Levels]) -> list[str]:
    highest = max((one.highest for one in grey), default=SIXTEEN_BIT_WHITE)
    if highest > _NEARLY_BLACK:
        return []
    white = 2 ** max(8, int(highest).bit_length()) - 1
    return [
        f"{len(grey)} images of 16 bits are nearly black: their greatest value is {highest:,.0f} "
        f"of {SIXTEEN_BIT_WHITE:,}; dataset.white={white} makes {white:,} white, and "
        "dataset.white=auto finds it"
    ]


def _clipped_notes(grey: Sequence[Levels], decoding: Decoding) -> list[str]:
    assert decoding.white is not None
    low, high = decoding.white
    if not grey:
        return ["dataset.white changes nothing: every image has 8 bits, or colours"]
    lowest, highest = min(one.lowest for one in grey), max(one.highest for one in grey)
    if lowest >= low and highest <= high:
        return []
    return [
        f"values from {lowest:g} to {highest:g} are clipped to {low:g} and {high:g}, the black and "
        "white of dataset.white"
    ]


def _dark_colour_notes(colour: Sequence[Levels]) -> list[str]:
    highest = max((one.highest for one in colour), default=SIXTEEN_BIT_WHITE)
    if highest > _NEARLY_BLACK:
        return []
    return [
        f"{len(colour)} images of 16-bit colour are nearly black: their greatest value is about "
        f"{highest:,.0f} of {SIXTEEN_BIT_WHITE:,}; save them as 8-bit colour"
    ]


def _flat_notes(paths: Sequence[str], measured: Sequence[MeasuredImage]) -> list[str]:
    flat = [path for path, one in zip(paths, measured, strict=True) if one.is_flat]
    if not flat:
        return []
    return [f"{len(flat)} of {len(paths)} images are of one colour, such as {flat[0]}"]
