import pytest
import torch

from sihwa.model import Network, create_network, cut_network
from tests.helpers import random_images, tiny_config

NETWORKS = [
    "tf_efficientnet_lite0", "resnet18", "mobilenetv3_small_100", "convnext_atto", "regnety_002",
    "densenet121", "test_efficientnet",
]  # fmt: skip


def network_of(name: str, stages: int = 2) -> Network:
    return create_network(tiny_config(architecture=name, stages=stages), 2)


@pytest.mark.parametrize("name", NETWORKS)
def test_cut_network_both_sides_together_equal_the_whole(name: str) -> None:
    network = network_of(name)
    image = torch.from_numpy(random_images(2, 60, 50))
    cut = cut_network(network, 0.5)
    with torch.no_grad():
        joined = cut.trained(cut.frozen(image)).mean((2, 3))
        torch.testing.assert_close(joined, network.embed(image), atol=0, rtol=0)
    assert 0 < cut.trained_share <= 1


def test_cut_network_trained_layers_share_the_weights_and_mode() -> None:
    network = network_of("resnet18")
    trained = cut_network(network, 0.3).trained
    own = {id(one) for one in network.backbone.parameters()}
    assert {id(one) for one in trained.parameters()} < own
    assert not any(module.training for module in network.modules())


def test_cut_network_share_of_one_freezes_only_preprocessing() -> None:
    network = network_of("resnet18")
    cut = cut_network(network, 1.0)
    assert cut.frozen is network.preprocessing
    assert len(list(cut.trained.parameters())) == len(list(network.backbone.parameters()))


def test_cut_network_smaller_share_trains_fewer_weights() -> None:
    network = network_of("resnet18")
    sizes = [
        sum(one.numel() for one in cut_network(network, share).trained.parameters())
        for share in (0.2, 0.5, 0.8)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_cut_network_share_equals_multiply_adds_by_hand() -> None:
    # ResNet-18 at 64 px, counted by hand from its table of layers (He et al. 2015, table 1), in
    # units of 4·4·512·512·9: a stage's first block has a smaller first convolution and a 1×1
    # shortcut. The last stage, of four convolutions, against all the others.
    network = network_of("resnet18", stages=1)
    cut = cut_network(network, 0.26)
    side = 2
    last = side**2 * (256 * 512 * 9 + 512 * 512 * 9 * 3 + 256 * 512)
    stages = [
        (side * 2**n) ** 2 * (c // 2 * c * 9 + c * c * 9 * 3 + c // 2 * c)
        for n, c in ((1, 256), (2, 128))
    ]
    first = 16**2 * 64 * 64 * 9 * 4 + 32**2 * 3 * 64 * 49
    assert cut.last_frozen == "layer3.1"
    assert cut.trained_share == pytest.approx(last / (last + sum(stages) + first))
