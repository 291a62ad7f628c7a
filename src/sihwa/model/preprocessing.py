"""The one definition of preprocessing: pictures of any size in, network input out.

Axes: N images, H and W picture size in pixels, S input size of the network, B bands of output
rows, R = S / B rows per band, T taps (input rows that one band can see).

The result equals an antialiased bilinear resize to S × S (a triangle filter as wide as the
reduction), followed by per-channel normalisation. It is written with elementary operations
only, because runtimes disagree on the antialiased Resize operator: see
docs/decisions/0001-resize-as-matrices.md.
"""

import torch
from torch import Tensor, nn

__all__ = ["Preprocessing"]

_BAND_COUNT = 8


class Preprocessing(nn.Module):
    """Resize uint8 pictures to a square and normalise them.

    The whole picture is kept (its sides are scaled separately); nothing is cropped, so a defect
    at the edge of the part stays visible.

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
        # pixels are centred at 127.5 before they are mixed: that is exact in bfloat16, 255 is not
        centre = 127.5 / 255
        spread = torch.tensor(std, dtype=torch.float32).reshape(3, 1, 1)
        offset = centre - torch.tensor(mean, dtype=torch.float32).reshape(3, 1, 1)
        self.register_buffer("scale", 1 / (255 * spread))
        self.register_buffer("shift", offset / spread)

    def forward(self, image: Tensor) -> Tensor:
        """Return the network input (N, 3, S, S), float32, of pictures (N, H, W, 3), uint8."""
        count, height, width = image.shape[0], image.shape[1], image.shape[2]
        index, row_weight = _band_weights(height, self.input_size, image.device)
        column_weight = _dense_weights(width, self.input_size, image.device)
        # pictures are often much larger than S: an output row needs few input rows, so bands of
        # rows are gathered while the pixels are still bytes, and multiplied as small matrices
        rows = image.reshape(count, height, width * 3).index_select(1, index.reshape(-1))
        bands = rows.reshape(count, _BAND_COUNT, index.shape[1], width * 3)
        resized = torch.matmul(row_weight, bands.to(torch.float32) - 127.5)
        channels = resized.reshape(count, self.input_size, width, 3).permute(0, 3, 1, 2)
        squares = torch.matmul(channels, column_weight.T)
        return squares * self.scale + self.shift


def _dense_weights(length: int, size: int, device: torch.device) -> Tensor:
    """Weights (S, length) with which each output position mixes the input positions."""
    reach, centre = _geometry(length, size, device)
    position = torch.arange(length, dtype=torch.float32, device=device)
    return _normalised(_triangle(position[None, :] - centre[:, None], reach))


def _band_weights(length: int, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Input positions (B, T) that each band of outputs sees, and their weights (B, R, T)."""
    reach, centre = _geometry(length, size, device)
    centre = centre.reshape(_BAND_COUNT, size // _BAND_COUNT)
    tap_count = length // _BAND_COUNT + 2 * (length // size) + 4
    first = torch.floor(centre[:, 0] - reach)
    position = first[:, None] + torch.arange(tap_count, dtype=torch.float32, device=device)
    weight = _triangle(position[:, None, :] - centre[:, :, None], reach)
    inside = (position >= 0) & (position < length)
    index = torch.clamp(position, min=0, max=length - 1).to(torch.int64)
    return index, _normalised(weight * inside[:, None, :])


def _geometry(length: int, size: int, device: torch.device) -> tuple[float, Tensor]:
    """Half-width of the filter in input positions, and the output centres (S,) there."""
    ratio = length / size
    centre = (torch.arange(size, dtype=torch.float32, device=device) + 0.5) * ratio - 0.5
    reach: float = torch.sym_max(ratio, 1.0)  # type: ignore[assignment]  # a symbol when exported
    return reach, centre


def _triangle(distance: Tensor, reach: float) -> Tensor:
    return torch.clamp(1 - distance.abs() / reach, min=0)


def _normalised(weight: Tensor) -> Tensor:
    return weight / weight.sum(-1, keepdim=True)
