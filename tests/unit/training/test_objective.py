import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

from sihwa.training.config import LossConfig, MixConfig
from sihwa.training.objective import Mixer, Objective


def some(classes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logit = torch.randn(20, classes, generator=generator)
    return logit, torch.randint(classes, (20,), generator=generator)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_objective_equals_torchs_cross_entropy(smoothing: float) -> None:
    logit, label = some()
    ours = Objective(LossConfig(label_smoothing=smoothing), [5, 5, 5])
    expected = nn.CrossEntropyLoss(label_smoothing=smoothing, reduction="none")(logit, label)
    torch.testing.assert_close(ours(logit, functional.one_hot(label, 3).float()), expected)


def test_objective_focal_equals_torchvisions_on_two_classes() -> None:
    logit, label = some(1)
    label = torch.randint(2, (20,), generator=torch.Generator().manual_seed(1))
    two = torch.cat([torch.zeros_like(logit), logit], dim=1)  # softmax is then the sigmoid
    ours = Objective(LossConfig(name="focal", gamma=2.0), [5, 5])(
        two, functional.one_hot(label, 2).float()
    )
    expected = sigmoid_focal_loss(logit[:, 0], label.float(), alpha=-1, gamma=2.0)
    torch.testing.assert_close(ours, expected)


def test_objective_class_balance_follows_the_effective_number() -> None:
    # Cui et al. 2019, equation 3, with the weights scaled to one per image
    count, beta = np.array([1000, 10]), 0.99
    effective = (1 - beta**count) / (1 - beta)
    weight = 1 / effective
    weight *= count.sum() / (weight * count).sum()
    objective = Objective(LossConfig(class_balance=beta), count)
    loss = objective(torch.zeros(2, 2), torch.eye(2)).numpy()
    np.testing.assert_allclose(loss, weight * np.log(2), rtol=1e-5)


def test_objective_logit_adjustment_adds_the_prior_while_training() -> None:
    # Menon et al. 2020, equation 10
    logit, label = some(2)
    prior = torch.log(torch.tensor([0.9, 0.1]))
    ours = Objective(LossConfig(logit_adjustment=1.0), [90, 10])
    expected = functional.cross_entropy(logit + prior, label, reduction="none")
    torch.testing.assert_close(ours(logit, functional.one_hot(label, 2).float()), expected)


@pytest.mark.parametrize("config", [MixConfig(mixup=0.2), MixConfig(cutmix=1.0)], ids=str)
def test_mixer_targets_are_shares_and_follow_the_seed(config: MixConfig) -> None:
    mixer = Mixer(config, 3)
    image, label = torch.rand(8, 4, 6, 6), torch.arange(8) % 3
    torch.manual_seed(0)
    first = mixer(image.clone(), label)
    torch.manual_seed(0)
    second = mixer(image.clone(), label)
    torch.testing.assert_close(first, second)
    torch.testing.assert_close(first[1].sum(1), torch.ones(8))
    assert (first[1].max(1).values < 1).any()


def test_mixer_without_mixing_leaves_the_batch_alone() -> None:
    image, label = torch.rand(4, 2, 3, 3), torch.tensor([0, 1, 2, 1])
    mixed, target = Mixer(MixConfig(), 3)(image, label)
    assert mixed is image
    assert target.argmax(1).tolist() == label.tolist()
