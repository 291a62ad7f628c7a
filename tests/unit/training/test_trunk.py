import numpy as np
import pytest
import torch
from torch import nn

from sihwa.errors import ParityError
from sihwa.model import create_network, export_activation, split_network
from sihwa.training.trunk import create_trunk_runner, relative_difference
from tests.helpers import random_images, tiny_config

CPU = torch.device("cpu")


def trunk() -> nn.Module:
    return split_network(create_network(tiny_config(), 2), 0.5).trunk


@pytest.mark.parametrize("size", [(40, 50), (200, 64)], ids=str)
def test_create_trunk_runner_gives_what_pytorch_gives(size: tuple[int, int]) -> None:
    part, image = trunk(), random_images(3, *size)
    result = create_trunk_runner(part, CPU, image[:1])(image)
    with torch.no_grad():
        expected = part(torch.from_numpy(image)).numpy()
    assert result.dtype == np.float16
    assert relative_difference(result, expected) < 1e-3


def test_create_trunk_runner_that_differs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def export_wrongly(part: nn.Module) -> bytes:
        return export_activation(nn.Sequential(part, nn.LeakyReLU(0.5)))

    monkeypatch.setattr("sihwa.training.trunk.export_activation", export_wrongly)
    with pytest.raises(ParityError, match=r"differs from PyTorch by .* use training=finetune"):
        create_trunk_runner(trunk(), CPU, random_images(1, 60, 60))


def test_relative_difference_is_the_share_of_the_root_mean_square() -> None:
    assert relative_difference(np.array([3.0, 4.4]), np.array([3.0, 4.0])) == pytest.approx(0.08)
