"""How unlike the training images an image is.

Axes: N images, D embedding width, K classes, R directions.
"""

import torch
from torch import Tensor, nn

_DIRECTIONS = 256
"""Directions in which classes vary most; the many faint ones beyond measure noise."""


class UnknownScore(nn.Module):
    """Mahalanobis distance of an embedding to the nearest class centre.

    Divided by the square root of the number of directions, so that about 1 is ordinary whatever
    the network. Source: Lee et al. 2018, arXiv 1807.03888, on the last layer, with the shared
    covariance cut to its leading directions.

    Until `set_classes` is called every image scores 0.
    """

    projection: Tensor
    centre: Tensor

    def __init__(self, width: int, class_count: int) -> None:
        super().__init__()
        directions = min(_DIRECTIONS, width)
        self.register_buffer("projection", torch.zeros(width, directions))
        self.register_buffer("centre", torch.zeros(class_count, directions))

    def set_classes(self, projection: Tensor, centre: Tensor) -> None:
        """Set the whitening directions (D, ≤ R) and the projected class centres (K, ≤ R).

        What is missing to R directions stays zero and adds no distance.
        """
        given = projection.shape[1]
        scale = (self.projection.shape[1] / given) ** 0.5
        self.projection.zero_()[:, :given] = projection * scale
        self.centre.zero_()[:, :given] = centre * scale

    def forward(self, embedding: Tensor) -> Tensor:
        """Return the score (N,) of embeddings (N, D); 0 is a class centre, larger is stranger."""
        position = torch.matmul(embedding, self.projection)
        offset = position[:, None, :] - self.centre
        return offset.square().mean(2).amin(1).sqrt()
