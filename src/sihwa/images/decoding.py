"""How files become pixels: the settings that go from a training into its inspector."""

import contextlib
import json
import math
from dataclasses import dataclass, field
from typing import Any

from sihwa.errors import ConfigError

MAX_PIXELS = 100_000_000
"""Larger images are refused before decoding: a small file can claim any size."""

_RULES = 2
"""Raised whenever the same file and settings give other pixels than before."""


@dataclass(frozen=True)
class Decoding:
    """How image files are decoded, the same wherever one image is read."""

    max_pixels: int = MAX_PIXELS
    """Largest allowed H × W."""
    white: tuple[float, float] | None = None
    """Values of 16-bit, 32-bit and floating-point pixels that become 0 and 255; None for the whole
    range of 16 bits, and none for the others."""
    setting: str = field(default="max_pixels", compare=False)
    """Name of the limit where the user sets it, for messages."""

    @property
    def key(self) -> str:
        """Short text that differs where the pixels of a file differ; a part of a file's name.

        >>> Decoding().key, Decoding(white=(0, 4095)).key
        ('2', '2-0-4095')
        """
        return "-".join([str(_RULES), *(f"{value:g}" for value in self.white or ())])


def parse_white(value: Any, name: str) -> tuple[float, float] | None:  # noqa: ANN401
    """Return the range that a setting states: NUMBER, [LOW, HIGH] or null, perhaps as text.

    Raises:
        ConfigError: It states none.

    >>> parse_white(4095, "dataset.white"), parse_white("[-1, 2.5]", "dataset.white")
    ((0.0, 4095.0), (-1.0, 2.5))
    """
    if value is None:
        return None
    stated = value
    if isinstance(value, str):  # as it was typed
        with contextlib.suppress(ValueError):
            stated = json.loads(value)
    ends = [0, stated] if isinstance(stated, (int, float)) else stated
    are_numbers = isinstance(ends, (list, tuple)) and all(
        isinstance(end, (int, float)) and not isinstance(end, bool) and math.isfinite(end)
        for end in ends
    )
    if not are_numbers or len(ends) != 2 or not ends[0] < ends[1]:
        raise ConfigError(
            f"{name} must be null, auto, a number above 0 or [LOW, HIGH] with LOW below HIGH, "
            f"got {value!r}"
        )
    return float(ends[0]), float(ends[1])
