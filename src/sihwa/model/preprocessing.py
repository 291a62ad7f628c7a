"""Preprocessing: images of any size → network input.

Axes: N images, H and W image size in pixels, T tiles, S lines of the network's input per tile, F
numbers in a line of pixels (a row or a column), B bands of R output lines each, Q taps (input
lines of one band).

The result equals an antialiased bilinear resize (a triangle filter as wide as the reduction) and a
normalisation per channel. It uses elementary operations only, because runtimes disagree on the
antialiased Resize operator: see docs/decisions/0001-resize-as-matrices.md.
"""

import torch
from torch import Tensor, nn

from sihwa.model.framing import Axis, Framing

_BAND = 8
"""Output lines per band, R; a divisor of every allowed input size."""

_MIDDLE = 127.5
_LEAST = 1e-6
"""Keeps the weights of lines that lie beyond the image from being NaN."""


class Preprocessing(nn.Module):
    """Resize uint8 images, or tiles of them, to the network's input and normalise them.

    Unless told otherwise, sides are scaled separately and nothing is cropped, so defects at the
    edge stay visible. What is not looked at, and padding, is 0: the mean of the channel.

    Args:
        framing: What is looked at, and the size of the network's input, a multiple of 8.
        mean: Channel means (R, G, B) on the scale [0, 1].
        std: Channel deviations (R, G, B) on the scale [0, 1], all positive.
    """

    scale: Tensor
    shift: Tensor
    mask: Tensor

    def __init__(self, framing: Framing, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.framing = framing
        spread = torch.tensor(std, dtype=torch.float32).reshape(3, 1, 1)
        offset = 0.5 - torch.tensor(mean, dtype=torch.float32).reshape(3, 1, 1)
        self.register_buffer("scale", 1 / (255 * spread))
        self.register_buffer("shift", offset / spread)
        if framing.mask is not None:
            self.register_buffer("mask", torch.ones(framing.mask))

    def forward(self, image: Tensor) -> Tensor:
        """Return the network input of images (N, H, W, 3), uint8: float32 (N · T, 3, S, S).

        The tiles of an image follow each other, row by row.
        """
        rows, columns = self.framing.axes(image.shape[1], image.shape[2])
        pixels = self.normalise(_resize(image, rows, columns))
        return self._tiles(self._looked_at(pixels, rows, columns))

    def resize(self, image: Tensor) -> Tensor:
        """Return images (N, H, W, 3), uint8, resized but not normalised: (N, 3, S, S), 0 to 255.

        Tiles lie beside each other in one image.
        """
        return _resize(image, *self.framing.axes(image.shape[1], image.shape[2]))

    def normalise(self, pixels: Tensor) -> Tensor:
        """Return the network input of resized pixels (N, 3, S, S), 0 to 255."""
        # the stored shift is for pixels minus 127.5
        return (pixels - _MIDDLE) * self.scale + self.shift

    def _looked_at(self, pixels: Tensor, rows: Axis, columns: Axis) -> Tensor:
        """Set to 0 what is padding, and what the mask leaves out."""
        if self.framing.fit == "letterbox":
            pixels = pixels * _inside(rows, pixels.device)[:, None]
            pixels = pixels * _inside(columns, pixels.device)
        if self.framing.mask is not None:
            tall, wide = self.framing.mask
            lines = self.mask.index_select(0, _nearest(rows, tall, pixels.device))
            pixels = pixels * lines.index_select(1, _nearest(columns, wide, pixels.device))
        return pixels

    def _tiles(self, pixels: Tensor) -> Tensor:
        """Return tiles (N · T, 3, S, S) of pixels (N, 3, rows · S, columns · S)."""
        if self.framing.tile_count == 1:
            return pixels
        (down, across), (tall, wide) = self.framing.tiles, self.framing.input_size
        apart = pixels.reshape(-1, 3, down, tall, across, wide).permute(0, 2, 4, 1, 3, 5)
        return apart.reshape(-1, 3, tall, wide)


def _resize(image: Tensor, rows: Axis, columns: Axis) -> Tensor:
    """Return images (N, H, W, 3), uint8, as float32 (N, 3, S, S), 0 to 255."""
    count, height, width = image.shape[0], image.shape[1], image.shape[2]
    tall, wide = rows.tiles * rows.size, columns.tiles * columns.size
    shrunk = _resize_lines(image.reshape(count, height, width * 3), rows)
    turned = shrunk.reshape(count, tall, width, 3).permute(0, 2, 3, 1)
    square = _resize_lines(turned.reshape(count, width, 3 * tall), columns)
    return square.reshape(count, wide, 3, tall).permute(0, 2, 3, 1)


def _resize_lines(line: Tensor, axis: Axis) -> Tensor:
    """Return output lines, (N, T · S, F), float32, of the input lines (N, H, F) of an axis.

    An output line needs few input lines of a large image, so bands of lines are gathered as bytes
    and multiplied as small matrices.
    """
    index, weight = _antialias_filter(axis, line.device)
    bands = line.index_select(1, index.reshape(-1))
    bands = bands.reshape(line.shape[0], index.shape[0], index.shape[1], line.shape[2])
    mixed: Tensor = torch.matmul(weight, bands.to(torch.float32))
    return mixed.reshape(line.shape[0], axis.tiles * axis.size, line.shape[2])


def _antialias_filter(axis: Axis, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return input positions (B, Q) of each band of outputs, and their weights (B, R, Q)."""
    centre = _centres(axis, device).reshape(axis.tiles * axis.size // _BAND, _BAND)
    # half the filter's width, a symbol when exported
    reach: float = torch.sym_max(axis.ratio, 1.0)  # type: ignore[assignment]
    # a band spans R - 1 centres and the filter's width; 4 more for rounding at both ends
    tap_count = (_BAND + 1) * axis.extent // axis.covered + 4
    first = torch.floor(centre[:, 0] - reach)
    position = first[:, None] + torch.arange(tap_count, dtype=torch.float32, device=device)
    weight = torch.clamp(1 - (position[:, None, :] - centre[:, :, None]).abs() / reach, min=0)
    inside = (position >= 0) & (position < axis.length)
    index = torch.clamp(position, min=0, max=axis.length - 1).to(torch.int64)
    if axis.is_cut:
        index = index + axis.start
    weight = weight * inside[:, None, :]
    total = weight.sum(-1, keepdim=True)
    return index, weight / (torch.clamp(total, min=_LEAST) if axis.is_padded else total)


def _centres(axis: Axis, device: torch.device) -> Tensor:
    """Return where the output lines lie, (T · S,), counted in lines from the first looked at."""
    place = torch.arange(axis.size, dtype=torch.float32, device=device) + 0.5
    if axis.tiles > 1:
        tile = torch.arange(axis.tiles, dtype=torch.float32, device=device)
        place = (tile[:, None] * (axis.size * (1 - axis.overlap)) + place).reshape(-1)
    centre = place * axis.ratio - 0.5
    return centre + (axis.length - axis.extent) / 2 if axis.is_padded else centre


def _inside(axis: Axis, device: torch.device) -> Tensor:
    """Return 1 for output lines that show the image and 0 for padding, (T · S,)."""
    centre = _centres(axis, device)
    return ((centre > -0.5) & (centre < axis.length - 0.5)).to(torch.float32)


def _nearest(axis: Axis, size: int, device: torch.device) -> Tensor:
    """Return for each output line the line of a mask, of `size` lines, that lies there."""
    place = (_centres(axis, device) + (axis.start + 0.5)) * (size / axis.total)
    return torch.clamp(torch.floor(place), min=0, max=size - 1).to(torch.int64)
