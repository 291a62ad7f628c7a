"""Cards and weights that would have PyTorch build or load something else than they say."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from sihwa.inspector import load_inspector
from tests.attacks.forge import forge, put, refuse

FITS_NOT = "does not fit the card's network"
CARDS = {
    "unknown": ("architecture", "evilnet", "knows no network"),
    "from_the_hub": ("architecture", "hf-hub:someone/resnet18", "knows no network"),
    "from_a_folder": ("architecture", "local-dir:/etc", "knows no network"),
    "of_an_unknown_tag": ("architecture", "test_efficientnet.evil", r"pretrained tag \(evil\)"),
    "without_a_map": ("architecture", "vit_base_patch16_224", "cannot be built"),
    "of_another": ("architecture", "resnet18", f"{FITS_NOT} 'resnet18'"),
    "stages_of_another": ("stages", 2, FITS_NOT),
    "input_size_odd": ("input_size", 65, "cannot be built: model.input_size"),
}


@pytest.mark.parametrize(("key", "value", "reason"), CARDS.values(), ids=list(CARDS))
def test_load_inspector_in_torch_hostile_network_is_refused(
    tiny_bundle: Path, key: str, value: object, reason: str
) -> None:
    forge(tiny_bundle, change=put("network", key, to=value))
    refuse(tiny_bundle, reason, runtime="torch")


OTHER_TENSORS: dict[str, Callable[[dict[str, torch.Tensor]], Any]] = {
    "fewer": lambda tensors: tensors.pop("classifier.bias"),
    "more": lambda tensors: tensors.update(__class__=torch.zeros(1)),
    "integers": lambda tensors: tensors.update({"classifier.bias": torch.zeros(3).int()}),
    "of_another_shape": lambda tensors: tensors.update({"classifier.weight": torch.zeros(4, 256)}),
}


@pytest.mark.parametrize("change", OTHER_TENSORS.values(), ids=list(OTHER_TENSORS))
def test_load_inspector_in_torch_weights_of_another_network_are_refused(
    tiny_bundle: Path, change: Callable[[dict[str, torch.Tensor]], Any]
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
