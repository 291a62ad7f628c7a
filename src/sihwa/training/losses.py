"""Losses by name. To add one, write a function and give it a line in LOSSES.

Settings choose it by `training.loss.name`. Label smoothing, class weights, logit adjustment and
mixing work with every loss: `objective.py` applies them to its arguments.

Axes: N images, K classes.
"""

from collections.abc import Callable

from torch import Tensor

Loss = Callable[[Tensor, Tensor, float], Tensor]
"""Log-probabilities (N, K), target shares (N, K), `training.loss.gamma` → loss per image (N,)."""


def cross_entropy(log_probability: Tensor, target: Tensor, gamma: float) -> Tensor:
    """Return −Σ target · log p, in nats."""
    del gamma
    return -(log_probability * target).sum(1)


def focal(log_probability: Tensor, target: Tensor, gamma: float) -> Tensor:
    """Return −Σ target · (1 − p)^γ · log p.

    Source: Lin et al. 2017, arXiv 1708.02002, eq. 4.
    """
    return -(log_probability * target * (1 - log_probability.exp()) ** gamma).sum(1)


LOSSES: dict[str, Loss] = {
    "cross_entropy": cross_entropy,
    "focal": focal,  # easy images count less
}
"""Every loss by the name that settings use."""
