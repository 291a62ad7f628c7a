"""Cards and weights that would have PyTorch build or load something else than they say."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from sihwa.inspector import load_inspector
from tests.attacks.forge import Json, forge, refuse
from tests.attacks.test_inspector_card_attacks import put

CARDS: dict[str, tuple[Callable[[Json], Any], str]] = {
    "architecture_unknown": (put("network", "architecture", to="evilnet"), "knows no network"),
    "architecture_from_the_hub": (
        put("network", "architecture", to="hf-hub:someone/resnet18"),
        "knows no network",
    ),
    "architecture_from_a_folder": (
        put("network", "architecture", to="local-dir:/etc"),
        "knows no network",
    ),
    "architecture_with_unknown_tag": (
        put("network", "architecture", to="test_efficientnet.evil"),
        r"Invalid pretrained tag \(evil\)",
    ),
    "architecture_of_gigabytes": (
        put("network", "architecture", to="resnetv2_152x4_bit"),
        "does not fit the card's network 'resnetv2_152x4_bit'",
    ),
    "architecture_without_a_map": (
        put("network", "architecture", to="vit_base_patch16_224"),
        "cannot be built",
    ),
    "architecture_of_another": (
        put("network", "architecture", to="resnet18"),
        "does not fit the card's network 'resnet18'",
    ),
    "stages_of_another": (put("network", "stages", to=2), "does not fit the card's network"),
    "input_size_odd": (put("network", "input_size", to=65), "cannot be built: model.input_size"),
}


@pytest.mark.parametrize(("change", "reason"), CARDS.values(), ids=list(CARDS))
def test_load_inspector_in_torch_hostile_network_is_refused(
    tiny_bundle: Path, change: Callable[[Json], Any], reason: str
) -> None:
    forge(tiny_bundle, change=change)
    refuse(tiny_bundle, reason, runtime="torch")


def _without_bias(tensors: dict[str, torch.Tensor]) -> None:
    del tensors["classifier.bias"]


def _with_more(tensors: dict[str, torch.Tensor]) -> None:
    tensors["__class__"] = torch.zeros(1)


def _of_integers(tensors: dict[str, torch.Tensor]) -> None:
    tensors["classifier.bias"] = tensors["classifier.bias"].to(torch.int32)


def _of_another_shape(tensors: dict[str, torch.Tensor]) -> None:
    tensors["classifier.weight"] = torch.zeros(4, 256)


@pytest.mark.parametrize("change", [_without_bias, _with_more, _of_integers, _of_another_shape])
def test_load_inspector_in_torch_weights_of_another_network_are_refused(
    tiny_bundle: Path, change: Callable[[dict[str, torch.Tensor]], None]
) -> None:
    path = tiny_bundle / "weights.safetensors"
    tensors = load(path.read_bytes())
    change(tensors)
    path.write_bytes(save(tensors))
    forge(tiny_bundle)
    refuse(tiny_bundle, "does not fit the card's network 'test_efficientnet'", runtime="torch")


def test_load_inspector_in_torch_builds_no_network_that_it_then_refuses(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the largest convolutional network would take gigabytes before its weights are seen not to fit
    forge(tiny_bundle, change=put("network", "architecture", to="resnetv2_152x4_bit"))
    made: list[torch.device] = []
    original = torch.nn.Conv2d.reset_parameters

    def noted(self: torch.nn.Conv2d) -> None:
        original(self)
        made.append(self.weight.device)

    monkeypatch.setattr(torch.nn.Conv2d, "reset_parameters", noted)
    refuse(tiny_bundle, "does not fit the card's network", runtime="torch")
    assert len(made) > 100
    assert {device.type for device in made} == {"meta"}


def test_load_inspector_other_runtimes_do_not_build_the_card_s_network(tiny_bundle: Path) -> None:
    forge(tiny_bundle, change=put("network", "architecture", to="hf-hub:someone/resnet18"))
    card = json.loads((tiny_bundle / "card.json").read_bytes())
    assert load_inspector(tiny_bundle, runtime="onnxruntime").card.id == card["id"]
