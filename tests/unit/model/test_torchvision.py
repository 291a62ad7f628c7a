import pytest
import torch
import torchvision
from safetensors.torch import save_file

from sihwa.errors import ModelError
from sihwa.model import create_network, cut_network
from tests.helpers import random_images, tiny_config

NAMES = [
    "resnet18", "mobilenet_v3_small", "efficientnet_b0", "regnet_y_400mf", "densenet121",
    "shufflenet_v2_x0_5",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_create_network_torchvision_embeds_and_can_be_cut(name: str) -> None:
    network = create_network(tiny_config(architecture=f"torchvision/{name}", stages=2), 3)
    image = torch.from_numpy(random_images(2, 60, 50))
    with torch.no_grad():
        embedding = network.embed(image)
        cut = cut_network(network, 0.4)
        joined = cut.trained(cut.frozen(image)).mean((2, 3))
    assert embedding.shape == (2, network.classifier.in_features)
    torch.testing.assert_close(joined, embedding)


def test_create_network_torchvision_file_gives_torchvisions_own_features(tmp_path: object) -> None:
    reference = torchvision.models.resnet18(weights=None).eval()
    path = f"{tmp_path}/weights.safetensors"
    save_file(reference.state_dict(), path)
    network = create_network(
        tiny_config(architecture="torchvision/resnet18", weights=path, stages=0), 2
    )
    image = torch.from_numpy(random_images(2, 60, 50))
    reference.fc = torch.nn.Identity()
    with torch.no_grad():
        expected = reference(network.preprocessing(image))
        torch.testing.assert_close(network.embed(image), expected, atol=1e-5, rtol=1e-5)


def test_create_network_torchvision_hub_out_of_reach_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    with pytest.raises(ModelError, match=r"weights of 'torchvision/resnet18' could not"):
        create_network(tiny_config(architecture="torchvision/resnet18", weights="hub"), 2)
