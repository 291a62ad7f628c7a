import numpy as np
import pytest
import torch
from torch import nn

from sihwa.errors import ParityError
from sihwa.model import create_network, cut_network, export_activation
from sihwa.training.stages import create_frozen_runner, relative_difference
from tests.helpers import random_images, tiny_config

CPU = torch.device("cpu")


def frozen() -> nn.Module:
    return cut_network(create_network(tiny_config(), 2), 0.5).frozen


@pytest.mark.parametrize("size", [(40, 50), (200, 64)], ids=str)
def test_create_frozen_runner_equals_pytorch(size: tuple[int, int]) -> None:
    layers, image = frozen(), random_images(3, *size)
    result = create_frozen_runner(layers, CPU, image[:1])(image)
    with torch.no_grad():
        expected = layers(torch.from_numpy(image)).numpy()
    assert result.dtype == np.float16
    assert relative_difference(result, expected) < 1e-3


def test_create_frozen_runner_wrong_graph_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def export_wrongly(layers: nn.Module) -> bytes:
        return export_activation(nn.Sequential(layers, nn.LeakyReLU(0.5)))

    monkeypatch.setattr("sihwa.training.stages.export_activation", export_wrongly)
    with pytest.raises(ParityError, match=r"differ from PyTorch by .* use training=finetune"):
        create_frozen_runner(frozen(), CPU, random_images(1, 60, 60))


def test_relative_difference_is_the_share_of_the_root_mean_square() -> None:
    assert relative_difference(np.array([3.0, 4.4]), np.array([3.0, 4.0])) == pytest.approx(0.08)
