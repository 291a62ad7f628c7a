"""The part of a network that is trained, as a LightningModule.

Axes: N images, C, h and w activation size, D embedding width, K classes.
"""

from collections.abc import Callable, Sequence
from math import cos, pi
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from numpy.typing import NDArray
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.lr_scheduler import LambdaLR

from sihwa.training.batches import Batch
from sihwa.training.finetune_config import FinetuneConfig, OptimizerConfig
from sihwa.training.objective import Mixer, Objective

Front = Callable[[Sequence[Tensor]], Tensor]
"""Parts of a batch → activations (N, C, h, w) at the cut."""


class Head(nn.Module):
    """A linear classifier on standardised embeddings of length about 1.

    The scales of an embedding's coordinates differ a thousandfold; on standardised ones a single
    learning rate fits them all. They are also divided by √D, because Adam moves every weight by the
    same amount, so undivided a logit moves √D times as far. `unfolded` gives the classifier on
    plain embeddings.
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
        """Take over a classifier, weight (K, D) and bias (K,), on standardised embeddings."""
        self.linear.weight.copy_(torch.from_numpy(weight * len(self.mean) ** 0.5))
        self.linear.bias.copy_(torch.from_numpy(bias))

    @torch.no_grad()
    def unfolded(self) -> tuple[Tensor, Tensor]:
        """Return weight (K, D) and bias (K,) that give the same logits on plain embeddings."""
        weight = self.linear.weight.double() / self.scale.double()
        bias = self.linear.bias.double() - weight @ self.mean.double()
        return weight.float(), bias.float()


class Learner(LightningModule):
    """Tail and head of a network, trained on what its trunk gives.

    Args:
        front: Makes the trunk's activations of a batch; it is not trained.
        tail: Activations → feature map; shares its weights with the network.
        head: Embedding → logits.
        objective: What is minimised.
        config: How.
        step_count: Optimiser steps of the whole training.
    """

    def __init__(
        self,
        front: Front,
        tail: fx.GraphModule,
        head: Head,
        objective: Objective,
        config: FinetuneConfig,
        step_count: int,
    ) -> None:
        super().__init__()
        self.tail = tail
        self.head = head
        self.objective = objective
        self._front = front
        self._config = config
        self._step_count = step_count
        self._mix = Mixer(config.mix, head.linear.out_features)
        self.answers: list[tuple[Tensor, Tensor, Tensor]] = []

    def forward(self, activation: Tensor) -> Tensor:
        """Return logits (N, K) of activations (N, C, h, w)."""
        features = self.tail(activation.contiguous(memory_format=torch.channels_last))
        with torch.autocast(features.device.type, enabled=False):
            return torch.as_tensor(self.head(features.float().mean((2, 3))))

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Return the batch's mean loss, scaled so that averaging over processes is exact."""
        del index
        activation, target = self._mix(self._front(batch.parts), batch.label)
        share = self.trainer.world_size / batch.total
        # gradients are averaged over processes: of these shares, the average is the batch's mean
        loss = torch.as_tensor(self.objective(self(activation), target).sum() * share)
        self.log("loss", loss.detach(), on_epoch=True, on_step=False, batch_size=batch.total,
                 sync_dist=True)  # fmt: skip
        return loss

    def validation_step(self, batch: Batch, index: int) -> None:
        """Keep the logits of held-out images."""
        del index
        logit = self(self._front(batch.parts))
        self.answers.append((batch.row.cpu(), logit.float().cpu(), batch.label.cpu()))

    def train(self, mode: bool = True) -> "Learner":
        """Switch to training, except for norms that are frozen."""
        super().train(mode)
        if self._config.norm == "frozen":
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def configure_optimizers(self) -> Any:  # noqa: ANN401 -- Lightning's own signature
        """Return optimiser and schedule."""
        config = self._config.optimizer
        groups = parameter_groups(self.tail, self.head, config)
        optimizer: torch.optim.Optimizer
        if config.name == "sgd":
            optimizer = torch.optim.SGD(groups, config.learning_rate, momentum=0.9, nesterov=True)
        else:
            optimizer = torch.optim.AdamW(groups, config.learning_rate)
        schedule = LambdaLR(optimizer, _Warmup(config.warmup, self._step_count))
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


class _Warmup:
    """Factor on the learning rate: rises to 1, then falls as a half cosine to 0."""

    def __init__(self, share: float, steps: int) -> None:
        self.rising = int(share * steps)
        self.steps = steps

    def __call__(self, step: int) -> float:
        if step < self.rising:
            return (step + 1) / (self.rising + 1)
        done = (step - self.rising) / max(1, self.steps - self.rising)
        return 0.5 * (1 + cos(pi * min(1.0, done)))


def parameter_groups(
    tail: fx.GraphModule, head: nn.Module, config: OptimizerConfig
) -> list[dict[str, Any]]:
    """Return the trained weights by learning rate and weight decay.

    The last block learns at the full rate, each block before it at the rate of the next times
    `layer_decay`, and the head `head_rate` times as fast as the last. Biases and norms are not
    pulled to zero.
    """
    targets = [str(node.target) for node in tail.graph.nodes if node.op == "call_module"]
    blocks = [tail.get_submodule(name) for name in dict.fromkeys(targets)]
    trained = [block for block in blocks if any(True for _ in block.parameters())]
    groups = []
    seen: set[Tensor] = set()
    rates = [config.learning_rate * config.layer_decay**depth for depth in range(len(trained))]
    rates.append(config.learning_rate * config.head_rate)
    for rate, block in zip(rates, [*reversed(trained), head], strict=True):
        own = [one for one in block.parameters() if one not in seen]
        seen.update(own)
        for decay, chosen in (
            (config.weight_decay, [one for one in own if one.ndim > 1]),
            (0.0, [one for one in own if one.ndim <= 1]),
        ):
            if chosen:
                groups.append({"params": chosen, "lr": rate, "weight_decay": decay})
    rest = [one for one in tail.parameters() if one not in seen]
    if rest:  # weights that the network uses outside any of its layers
        rate = config.learning_rate * config.layer_decay ** len(trained)
        groups.append({"params": rest, "lr": rate, "weight_decay": 0.0})
    return groups
