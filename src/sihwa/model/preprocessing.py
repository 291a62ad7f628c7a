"""Preprocessing: images of any size → network input.

Axes: N images, H and W image size in pixels, S input size of the network, F numbers in a
line of pixels (a row or a column), B bands of R output lines each, T taps (input lines of one
band).

The result equals an antialiased bilinear resize to S × S (a triangle filter as wide as the
reduction) and a normalisation per channel. It uses elementary operations only, because runtimes
disagree on the antialiased Resize operator: see
docs/decisions/0001-resize-as-matrices.md.
"""

import torch
from torch import Tensor, nn

_BAND = 8
"""Output lines per band, R; a divisor of every allowed input size."""

_MIDDLE = 127.5


class Preprocessing(nn.Module):
    """Resize uint8 images to a square and normalise them.

    Sides are scaled separately and nothing is cropped, so defects at the edge stay visible.

    Args:
        input_size: Side S of the network's input in pixels, a multiple of 8.
        mean: Channel means (R, G, B) on the scale [0, 1].
        std: Channel deviations (R, G, B) on the scale [0, 1], all positive.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, input_size: int, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.input_size = input_size
        spread = torch.tensor(std, dtype=torch.float32).reshape(3, 1, 1)
        offset = 0.5 - torch.tensor(mean, dtype=torch.float32).reshape(3, 1, 1)
        self.register_buffer("scale", 1 / (255 * spread))
        self.register_buffer("shift", offset / spread)

    def forward(self, image: Tensor) -> Tensor:
        """Return the network input (N, 3, S, S), float32, of images (N, H, W, 3), uint8."""
        count, height, width = image.shape[0], image.shape[1], image.shape[2]
        size = self.input_size
        shrunk = _resize_lines(image.reshape(count, height, width * 3), height, size)
        columns = shrunk.reshape(count, size, width, 3).permute(0, 2, 3, 1)
        square = _resize_lines(columns.reshape(count, width, 3 * size), width, size)
        # the stored shift is for pixels minus 127.5
        pixels = square.reshape(count, size, 3, size).permute(0, 2, 3, 1) - _MIDDLE
        return pixels * self.scale + self.shift


def _resize_lines(line: Tensor, length: int, size: int) -> Tensor:
    """Return S output lines, (N, S, F), float32, of `length` input lines (N, length, F).

    An output line needs few input lines of a large image, so bands of lines are gathered as bytes
    and multiplied as small matrices.
    """
    index, weight = _antialias_filter(length, size, line.device)
    bands = line.index_select(1, index.reshape(-1))
    bands = bands.reshape(line.shape[0], index.shape[0], index.shape[1], line.shape[2])
    mixed: Tensor = torch.matmul(weight, bands.to(torch.float32))
    return mixed.reshape(line.shape[0], size, line.shape[2])


def _antialias_filter(length: int, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return input positions (B, T) of each band of outputs, and their weights (B, R, T)."""
    ratio = length / size
    centre = (torch.arange(size, dtype=torch.float32, device=device) + 0.5) * ratio - 0.5
    centre = centre.reshape(size // _BAND, _BAND)
    # half the filter's width, a symbol when exported
    reach: float = torch.sym_max(ratio, 1.0)  # type: ignore[assignment]
    # a band spans R - 1 centres and the filter's width; 4 more for rounding at both ends
    tap_count = (_BAND + 1) * length // size + 4
    first = torch.floor(centre[:, 0] - reach)
    position = first[:, None] + torch.arange(tap_count, dtype=torch.float32, device=device)
    weight = torch.clamp(1 - (position[:, None, :] - centre[:, :, None]).abs() / reach, min=0)
    inside = (position >= 0) & (position < length)
    index = torch.clamp(position, min=0, max=length - 1).to(torch.int64)
    weight = weight * inside[:, None, :]
    return index, weight / weight.sum(-1, keepdim=True)
