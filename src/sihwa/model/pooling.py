"""From logits of the places of an image to logits of the image: the worst place decides.

Axes: N images, P places of an image (now its tiles), D embedding width, K classes.
"""

from collections.abc import Collection

import torch
from torch import Tensor, nn


class Pooling(nn.Module):
    """Pool places so that a label of the whole image teaches where a defect is.

    A defect is in an image if it is at any of its places: its logit is a smooth maximum, the
    logarithm of the mean exponential. A part is good only if it is so at every place: the logit of
    an accept class is the smooth minimum. Equal places give their own logit, and small
    differences the mean; the greater the classifier's weights, the more one place decides. See
    docs/decisions/0020-tiles.md.

    Args:
        places: P; those of an image follow each other.
        class_count: K.
        accepted: Indices of the accept classes.
    """

    sign: Tensor

    def __init__(self, places: int, class_count: int, accepted: Collection[int]) -> None:
        super().__init__()
        self.places = places
        sign = [-1.0 if index in accepted else 1.0 for index in range(class_count)]
        self.register_buffer("sign", torch.tensor(sign))

    def forward(self, logit: Tensor) -> Tensor:
        """Return logits of images, (N, K), from those of their places, (N · P, K)."""
        signed = self._apart(logit * self.sign)
        peak = signed.amax(1, keepdim=True)
        mean = torch.exp(signed - peak).mean(1, keepdim=True)
        return (peak + torch.log(mean)).squeeze(1) * self.sign

    def mean(self, embedding: Tensor) -> Tensor:
        """Return embeddings of images, (N, D), from those of their places, (N · P, D)."""
        return self._apart(embedding).mean(1)

    def _apart(self, value: Tensor) -> Tensor:
        return value.reshape(-1, self.places, value.shape[1])
