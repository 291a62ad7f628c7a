"""Optimiser, learning rates by layer, and their schedule."""

from math import cos, pi
from typing import Any

import torch
from torch import Tensor

from sihwa.training.config import OptimizerConfig
from sihwa.training.learner import Learner


def create_optimizer(learner: Learner, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Return the optimiser; each group keeps its peak rate as `peak`."""
    groups = parameter_groups(learner, config)
    if config.name == "sgd":
        return torch.optim.SGD(groups, config.learning_rate, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, config.learning_rate)


def parameter_groups(learner: Learner, config: OptimizerConfig) -> list[dict[str, Any]]:
    """Return the trained weights grouped by learning rate and weight decay.

    The last block learns at the full rate, each earlier block at the next one's rate times
    `layer_decay`, the head at the full rate times `head_rate`. Biases and norms do not decay.
    """
    graph = learner.layers.graph
    names = dict.fromkeys(str(node.target) for node in graph.nodes if node.op == "call_module")
    blocks = [learner.layers.get_submodule(name) for name in names]
    trained = [block for block in blocks if any(True for _ in block.parameters())]
    rates = [config.learning_rate * config.layer_decay**depth for depth in range(len(trained))]
    rates.append(config.learning_rate * config.head_rate)
    groups: list[dict[str, Any]] = []
    seen: set[Tensor] = set()

    def add(weights: list[torch.nn.Parameter], rate: float, decay: float) -> None:
        if weights:
            groups.append({"params": weights, "lr": rate, "peak": rate, "weight_decay": decay})

    for rate, block in zip(rates, [*reversed(trained), learner.head], strict=True):
        own = [weight for weight in block.parameters() if weight not in seen]
        seen.update(own)
        add([weight for weight in own if weight.ndim > 1], rate, config.weight_decay)
        add([weight for weight in own if weight.ndim <= 1], rate, 0.0)
    # weights that the network uses outside its blocks
    rest = [weight for weight in learner.layers.parameters() if weight not in seen]
    add(rest, config.learning_rate * config.layer_decay ** len(trained), 0.0)
    return groups


def rate_factor(step: int, steps: int, warmup: float) -> float:
    """Return the factor on the peak rate in a step of [0, steps).

    It rises in the warm-up, then falls as a half cosine.

    >>> [round(rate_factor(step, 10, 0.2), 2) for step in (0, 1, 2, 6)]
    [0.33, 0.67, 1.0, 0.5]
    """
    rising = int(warmup * steps)
    if step < rising:
        return (step + 1) / (rising + 1)
    return 0.5 * (1 + cos(pi * (step - rising) / max(1, steps - rising)))
