"""What training minimises: a loss with its targets, class weights and mixed images.

Axes: N images, K classes, C, h and w activation size.
"""

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional
from torchvision.transforms import v2

from sihwa.training.config import LossConfig, MixConfig
from sihwa.training.losses import LOSSES


class Objective(nn.Module):
    """A loss with label smoothing, class weights and logit adjustment.

    Args:
        config: Which loss, and how strong each addition is.
        count: Training images of each class, (K,), each at least 1.
    """

    prior: Tensor
    weight: Tensor

    def __init__(self, config: LossConfig, count: ArrayLike) -> None:
        super().__init__()
        self.config = config
        number = torch.as_tensor(count, dtype=torch.float64)
        prior = config.logit_adjustment * torch.log(number / number.sum())
        weight = _class_weights(number, config.class_balance)
        self.register_buffer("prior", prior.float(), persistent=False)
        self.register_buffer("weight", weight.float(), persistent=False)

    def forward(self, logit: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each image, (N,).

        Args:
            logit: (N, K).
            target: Shares of the classes, (N, K), rows sum to 1.

        >>> plain = Objective(LossConfig(), [1, 1])
        >>> round(plain(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])).item(), 4)
        0.6931
        """
        smooth = self.config.label_smoothing
        target = target * (1 - smooth) + smooth / target.shape[1]
        log_probability = functional.log_softmax(logit.float() + self.prior, dim=1)
        return LOSSES[self.config.name](log_probability, target * self.weight, self.config.gamma)


def _class_weights(count: Tensor, beta: float) -> Tensor:
    """Return weights (K,) by effective number of samples; their mean over images is 1."""
    weight = (1 - beta) / (1 - beta**count)  # 1 for every class if beta is 0
    return weight * count.sum() / (weight * count).sum()


class Mixer:
    """Mixes pairs of a batch, images and labels in the same proportion, by torchvision.

    Args:
        config: Mixup and cutmix; where both are on, each batch draws one.
        class_count: K.
    """

    def __init__(self, config: MixConfig, class_count: int) -> None:
        self._class_count = class_count
        self._ways = [
            way(alpha=alpha, num_classes=class_count)
            for way, alpha in ((v2.MixUp, config.mixup), (v2.CutMix, config.cutmix))
            if alpha > 0
        ]

    def __call__(self, activation: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Return activations (N, C, h, w) and target shares (N, K) of a batch."""
        if not self._ways or len(label) < 2:
            return activation, functional.one_hot(label, self._class_count).float()
        way = self._ways[int(torch.randint(len(self._ways), ()))]
        mixed, target = way(activation, label)
        return mixed, target.float()
