"""The trained layers of a network: its last layers and a classifier.

Axes: N images, T tiles of an image, C, h and w activation size, D embedding width, K classes.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sihwa.errors import ConfigError
from sihwa.model import Pooling
from sihwa.training.config import FinetuneConfig
from sihwa.training.epoch_batches import Batch
from sihwa.training.objective import Mixer, Objective

Activate = Callable[[Sequence[Tensor]], Tensor]
"""Inputs of a batch → activations at the cut: (N, C, h, w), with tiles (N, T, C, h, w). Nothing
in it is trained."""


class Head(nn.Module):
    """A linear classifier on standardised embeddings, scaled to length about 1.

    The coordinates of an embedding differ in scale a thousandfold; standardised, one learning rate
    fits them all. They are also divided by √D: Adam moves every weight by the same amount, so
    otherwise a logit would move √D times as far.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        mean: NDArray[np.floating],
        deviation: NDArray[np.floating],
        class_count: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32))
        scale = torch.as_tensor(deviation, dtype=torch.float32) * len(mean) ** 0.5
        self.register_buffer("scale", scale)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(len(mean), class_count)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, embedding: Tensor) -> Tensor:
        """Return logits (N, K) of embeddings (N, D)."""
        return torch.as_tensor(self.linear(self.dropout((embedding - self.mean) / self.scale)))

    @torch.no_grad()
    def start_from(self, weight: NDArray[np.floating], bias: NDArray[np.floating]) -> None:
        """Copy a classifier, weight (K, D) and bias (K,), on standardised embeddings."""
        self.linear.weight.copy_(torch.from_numpy(weight * len(self.mean) ** 0.5))
        self.linear.bias.copy_(torch.from_numpy(bias))

    @torch.no_grad()
    def unfolded(self) -> tuple[Tensor, Tensor]:
        """Return weight (K, D) and bias (K,) that give the same logits on plain embeddings."""
        weight = self.linear.weight.double() / self.scale.double()
        bias = self.linear.bias.double() - weight @ self.mean.double()
        return weight.float(), bias.float()


class Learner(nn.Module):
    """Trained layers and head of a network, with what they minimise.

    Args:
        activate: Makes a batch's activations at the cut.
        layers: Activations → feature map; shares its weights with the network.
        head: Embedding → logits.
        objective: What is minimised.
        config: Mixing and norms.
        pooling: Logits of tiles → logits of images, where there are tiles.
    """

    def __init__(
        self,
        activate: Activate,
        layers: fx.GraphModule,
        head: Head,
        objective: Objective,
        config: FinetuneConfig,
        pooling: Pooling | None = None,
    ) -> None:
        super().__init__()
        self.layers = layers.to(memory_format=torch.channels_last)
        self.head = head
        self.objective = objective
        self.activate = activate
        self.pooling = pooling
        self._mix = Mixer(config.mix, head.linear.out_features)
        self._freeze_norms = config.norm == "frozen"

    def forward(self, activation: Tensor) -> Tensor:
        """Return logits (N, K) of activations (N, C, h, w), with tiles (N, T, C, h, w)."""
        if self.pooling is not None:
            activation = activation.flatten(0, 1)
        try:
            features = self.layers(activation.contiguous(memory_format=torch.channels_last))
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise ConfigError(
                "a batch of one image gives batch norm nothing to average over, since the last "
                "map has 1 × 1 cell; raise training.batch_size or model.input_size, or set "
                "training.norm=frozen"
            ) from error
        with torch.autocast(features.device.type, enabled=False):
            logit = self.head(features.float().mean((2, 3)))
            return torch.as_tensor(logit if self.pooling is None else self.pooling(logit))

    def prepare(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return activations and target shares (N, K), mixed if that is on."""
        activation = self.activate(batch.inputs)
        # mixing takes images: the tiles of one are mixed like its channels
        mixed, target = self._mix(activation.flatten(1, -3), batch.label)
        return mixed.reshape(activation.shape), target

    def train(self, mode: bool = True) -> "Learner":
        """Switch to training; frozen norms stay in evaluation mode."""
        super().train(mode)
        if self._freeze_norms:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self
