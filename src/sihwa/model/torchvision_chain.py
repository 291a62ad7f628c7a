"""Networks of torchvision as a chain of layers with timm's interface for feature maps.

Axes: N images, H and W input size, C, h and w feature-map size.
"""

import warnings
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from sihwa.errors import ModelError

PREFIX = "torchvision/"
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Chain(nn.Module):
    """Layers one after another; the last ones of each resolution are its stages.

    Args:
        layers: Network input (N, 3, H, W) → feature map (N, C, h, w).
        size: H and W, to find where the resolution changes.
    """

    def __init__(self, layers: nn.Sequential, size: tuple[int, int]) -> None:
        super().__init__()
        self.layers = layers
        self.stage_ends = _stage_ends(layers, size)
        self.pretrained_cfg = {"mean": _MEAN, "std": _DEVIATION}

    def forward_intermediates(self, image: Tensor, indices: int) -> tuple[Tensor, list[Tensor]]:
        """Return the final map, and the maps of the last `indices` stages, the final one too."""
        maps = []
        for place, layer in enumerate(self.layers):
            image = layer(image)
            if place in self.stage_ends:
                maps.append(image)
        return image, maps[-indices:]

    def reset_classifier(self, *_: object) -> None:
        """Do nothing: the chain ends before the classifier."""


def torchvision_names() -> list[str]:
    """Return the names of torchvision's classifiers."""
    names: list[str] = torchvision.models.list_models(module=torchvision.models)
    return names


def create_torchvision(name: str, *, pretrained: bool) -> nn.Module:
    """Return torchvision's network of that name; no code in downloaded weights is run."""
    settings = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
    network: nn.Module = torchvision.models.get_model(name, weights=None, **settings)
    if pretrained:
        weights: Any = torchvision.models.get_model_weights(name).DEFAULT
        network.load_state_dict(
            weights.get_state_dict(
                progress=False, check_hash=True, weights_only=True, map_location="cpu"
            )
        )
    return network


def take_apart(network: nn.Module, architecture: str, size: tuple[int, int]) -> Chain:
    """Return a network's layers up to its pooling; refuse one that is not a chain of them."""
    layers = _layers(network)
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    # some networks apply a ReLU that is not one of their layers
    for candidate in (layers, [*layers, nn.ReLU()]):
        if _equals_pooled_map(network.eval(), nn.Sequential(*candidate).eval(), image):
            return Chain(nn.Sequential(*candidate), size)
    raise ModelError(
        f"model.architecture: {architecture!r} is not a chain of convolutional layers; choose "
        "another, or the network of that name in timm"
    )


def _layers(network: nn.Module) -> list[nn.Module]:
    children = dict(network.named_children())
    if isinstance(children.get("features"), nn.Sequential):
        return _flat(children["features"])
    layers: list[nn.Module] = []
    for child in children.values():
        if isinstance(child, (nn.AdaptiveAvgPool2d, nn.Linear, nn.Dropout)):
            break
        layers += _flat(child)
    return layers


def _flat(module: nn.Module) -> list[nn.Module]:
    """Return blocks: sequences are flattened, modules with their own forward pass are not."""
    if type(module).forward is nn.Sequential.forward:
        return [block for child in module.children() for block in _flat(child)]
    return [module]


@torch.no_grad()
def _equals_pooled_map(network: nn.Module, layers: nn.Sequential, image: Tensor) -> bool:
    """Tell whether the layers output the map that the network itself pools."""
    pool = next((m for m in network.children() if isinstance(m, nn.AdaptiveAvgPool2d)), None)
    linear = next((m for m in network.modules() if isinstance(m, nn.Linear)), None)
    watched = pool or linear
    if watched is None:
        return False
    seen: list[Tensor] = []
    hook = watched.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network(image)
            ours: Tensor = layers(image)
    except (RuntimeError, ValueError, TypeError, AttributeError, AssertionError):
        return False  # layers that are not a chain fail in various ways
    finally:
        hook.remove()
    if ours.ndim != 4 or not seen:
        return False
    theirs = seen[0]
    mine = ours if pool is not None else ours.mean((2, 3))
    return mine.shape == theirs.shape and torch.allclose(mine, theirs, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def _stage_ends(layers: nn.Sequential, size: tuple[int, int]) -> tuple[int, ...]:
    """Return the places of the last layers of each resolution."""
    image = torch.zeros(2, 3, *size)
    sides = []
    for layer in layers.eval():
        image = layer(image)
        sides.append(image.shape[2])
    ends = [place for place in range(len(sides) - 1) if sides[place + 1] < sides[place]]
    return (*ends, len(sides) - 1)
