"""The feature maps of a network's tiles as one map of the whole image.

Axes: N images, T tiles, H and W image size in pixels, D embedding width, h and w feature-map size.
"""

import torch
from torch import Tensor

from sihwa.model.framing import Axis, Framing

_LEAST = 1e-6
"""Of a line; keeps cells that no tile covers from being NaN."""


def whole_map(
    features: Tensor, framing: Framing, height: int, width: int, mask: Tensor | None = None
) -> Tensor:
    """Return one map (N, D, h', w') of the image from the maps (N · T, D, h, w) of its tiles.

    Cell (y, x) covers rows y · H / h' to (y + 1) · H / h' of the image, and columns alike: padding
    is left out, where tiles overlap they are averaged, and beyond the region and where all of the
    mask is 0 it is 0.
    """
    depth, *cells = features.shape[1:]
    (down, across), (tall, wide) = framing.tiles, cells
    tiles = features.reshape(-1, down, across, depth, tall, wide)
    joined = tiles.permute(0, 3, 1, 4, 2, 5).reshape(-1, depth, down * tall, across * wide)
    rows, columns = framing.axes(height, width)
    size = framing.map_size(tall, wide)
    left = _shares(rows, tall, size[0], features.device)
    right = _shares(columns, wide, size[1], features.device)
    whole = torch.matmul(torch.matmul(left, joined), right.t())
    if mask is None:
        return whole
    up, across_mask = (
        _shares(_plain_axis(length), length, cells, mask.device)
        for length, cells in zip(mask.shape, size, strict=True)
    )
    seen = torch.matmul(torch.matmul(up, mask), across_mask.t()) > _LEAST
    return whole * seen.to(torch.float32)


def _plain_axis(length: int) -> Axis:
    return Axis(length, 0, length, length, 1, length, 0.0, is_padded=False, is_cut=False)


def _shares(axis: Axis, cells: int, size: int, device: torch.device) -> Tensor:
    """Return which share each line of the tiles' maps has in each line of the whole, (size, …)."""
    line = axis.size / cells
    place = torch.arange(cells, dtype=torch.float32, device=device) * line
    tile = torch.arange(axis.tiles, dtype=torch.float32, device=device)
    place = (tile[:, None] * (axis.size * (1 - axis.overlap)) + place).reshape(-1)
    low = place * axis.ratio + (axis.start + (axis.length - axis.extent) / 2)
    high = low + line * axis.ratio
    edge = torch.arange(size + 1, dtype=torch.float32, device=device) * (axis.total / size)
    begin, end = edge[:-1, None], edge[1:, None]
    common = torch.clamp(torch.minimum(high, end) - torch.maximum(low, begin), min=0)
    return common / torch.clamp(common.sum(1, keepdim=True), min=_LEAST)
