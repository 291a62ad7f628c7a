"""How an image is laid before a network: which part of it, how it fits, and in how many tiles.

Axes: H and W image size in pixels.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, prod
from typing import NamedTuple

import torch

from sihwa.errors import ConfigError

_GRAIN = 2**16
"""Regions are kept as whole numbers of this share, so that every runtime cuts the same pixels."""

_SMALLEST = 0.001
Shares = tuple[float, float, float, float]
WHOLE: Shares = (0.0, 0.0, 1.0, 1.0)


class Axis(NamedTuple):
    """How the rows or the columns of an image become those of the network's input.

    Of `total` lines, `length` from `start` on are looked at. They lie in the middle of `extent`
    lines, which `tiles` tiles share. Each tile becomes `size` lines. The first four may be symbols
    of a graph that is being exported.
    """

    total: int
    start: int
    length: int
    extent: int
    tiles: int
    size: int
    overlap: float
    """Share of a tile that the next one repeats."""
    is_padded: bool
    """Whether `extent` may exceed `length`."""
    is_cut: bool
    """Whether `start` may exceed 0."""

    @property
    def ratio(self) -> float:
        """Lines of the image per line of the network's input."""
        if self.tiles == 1:
            return self.extent / self.size
        return self.extent / (self.size * tile_lengths(self.tiles, self.overlap))

    @property
    def covered(self) -> int:
        """Lines of the network's input that all tiles cover together, rounded down."""
        return floor(self.size * tile_lengths(self.tiles, self.overlap) + 1e-9)


def tile_lengths(tiles: int, overlap: float) -> float:
    """Return how many times the length of one tile they cover together.

    >>> tile_lengths(4, 0.1)
    3.7
    """
    return tiles - (tiles - 1) * overlap


@dataclass(frozen=True)
class Framing:
    """Which part of an image a network sees, and at which size.

    Attributes:
        input_size: Height and width of the network's input in pixels, multiples of 8.
        fit: `stretch` scales height and width separately; `letterbox` scales both alike and pads.
        tiles: Rows and columns of tiles; each is resized to `input_size` by itself.
        overlap: Share of a tile that the next one repeats, in [0, 0.5].
        region: The rectangle looked at, left, top, right and bottom as shares of the image.
        mask: Rows and columns of a mask that says which pixels are looked at; None for all.
    """

    input_size: tuple[int, int]
    fit: str = "stretch"
    tiles: tuple[int, int] = (1, 1)
    overlap: float = 0.0
    region: Shares = WHOLE
    mask: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        left, top, right, bottom = self.region
        if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1) or (
            min(right - left, bottom - top) < _SMALLEST
        ):
            raise ConfigError(
                "dataset.region must be left, top, right and bottom as shares of the image, left "
                f"before right and top before bottom by {_SMALLEST} or more; got "
                f"{list(self.region)}"
            )

    @property
    def tile_count(self) -> int:
        """Number of tiles, T."""
        return prod(self.tiles)

    @property
    def is_whole(self) -> bool:
        """Whether the network's input shows the whole image and nothing else, once."""
        return self == Framing(self.input_size)

    def axes(self, height: int, width: int) -> tuple[Axis, Axis]:
        """Return what happens to the rows and to the columns of an image of H × W pixels."""
        left, top, right, bottom = self.region
        row, rows = _cut(height, top, bottom)
        column, columns = _cut(width, left, right)
        tall, wide = rows, columns
        if self.fit == "letterbox":
            shape = self._aspect()
            up, down = shape.numerator, shape.denominator
            tall = _larger(rows, _ceil_share(columns, up, down))
            wide = _larger(columns, _ceil_share(rows, down, up))
        spans = (height, row, rows, tall), (width, column, columns, wide)
        one, other = (
            Axis(*span, tiles, size, self.overlap, self.fit == "letterbox", self.region != WHOLE)
            for span, tiles, size in zip(spans, self.tiles, self.input_size, strict=True)
        )
        return one, other

    def useful_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the size to which an image can be shrunk before it loses what the network sees.

        That has two lines for each of the network's input: the resize inside the network averages
        finer detail away. No side grows; with `letterbox` both shrink alike.
        """
        spare = [max(1.0, axis.ratio / 2) for axis in self.axes(height, width)]
        if self.fit == "letterbox":
            spare = [min(spare)] * 2
        return ceil(height / spare[0] - 1e-9), ceil(width / spare[1] - 1e-9)

    def map_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the cells of the map of a whole image, if a tile's map has `height` × `width`.

        They are about as large as those of the tiles.
        """
        left, top, right, bottom = self.region
        (down, across), (size_y, size_x) = self.tiles, self.input_size
        return (
            min(ceil(down * height / (bottom - top)), down * size_y),
            min(ceil(across * width / (right - left)), across * size_x),
        )

    def _aspect(self) -> Fraction:
        """Return height over width of all tiles together."""
        lengths = [
            Fraction(size * tile_lengths(tiles, self.overlap)).limit_denominator(1000)
            for size, tiles in zip(self.input_size, self.tiles, strict=True)
        ]
        return lengths[0] / lengths[1]


def _larger(one: int, other: int) -> int:
    larger: int = torch.sym_max(one, other)  # type: ignore[assignment]  # symbols, too
    return larger


def _cut(total: int, begin: float, end: float) -> tuple[int, int]:
    """Return the first line of a part given as shares, and the number of its lines, at least 1."""
    if (begin, end) == (0.0, 1.0):
        return 0, total
    first = total * round(begin * _GRAIN) // _GRAIN
    return first, _ceil_share(total, round(end * _GRAIN), _GRAIN) - first


def _ceil_share(total: int, numerator: int, denominator: int) -> int:
    """Return a share of lines, rounded up.

    Without negative numbers, because ONNX rounds their quotients towards zero.
    """
    return (total * numerator + (denominator - 1)) // denominator
