"""Export a network as ONNX for one resized image, for runtimes without free sizes or uint8.

OpenCV's DNN module, for one, reads neither the resize of the main graph nor the broadcast and the
minimum in its unknown score. Here every shape is fixed and every operator an old one.

Axes: S sides of the network's input, D embedding width, K classes, R directions, h and w
feature-map size.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sihwa.model.graph import op, serialise, trace
from sihwa.model.network import Network, Prediction, UnknownScore, feature_map


def export_fixed_graph(network: Network) -> bytes:
    """Return the network as ONNX: pixels (1, 3, S, S) float32 → the fields of `Prediction`.

    Pixels are RGB, 0 to 255, as `Preprocessing.resize` gives them; normalisation is in the graph.
    `unknown` is (1, 1). The network must see the whole image: `network.framing.is_whole`.
    """
    example = torch.zeros(1, 3, *network.framing.input_size)
    outputs = list(Prediction._fields)
    plain = {
        torch.ops.aten.hardsigmoid.default: _hard_sigmoid,
        torch.ops.aten.hardswish.default: _hard_swish,
    }
    traced = trace(_Resized(network), (example,), ["pixels"], outputs, translations=plain)
    return serialise(traced)


class _Resized(nn.Module):
    """The network behind its resize, for one image."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Prediction:
        network = self.network
        image = network.preprocessing.normalise(pixels)
        features = feature_map(network.backbone, image, network.stages)
        embedding = features.mean((2, 3))
        weight = network.classifier.weight[:, :, None, None]
        return Prediction(
            probability=torch.softmax(network.classifier(embedding) / network.temperature, dim=1),
            evidence=functional.conv2d(features, weight),
            embedding=embedding,
            unknown=_unknown(network.unknown, embedding),
        )


def _unknown(score: UnknownScore, embedding: Tensor) -> Tensor:
    """Return the unknown score (1, 1) of an embedding (1, D), without broadcast and minimum.

    The position is repeated for each class; the minimum is a max pooling of what is negated.
    """
    classes, directions = score.centre.shape
    position = functional.linear(embedding, score.projection.T)
    offset = torch.cat([position] * classes, 1) - score.centre.reshape(1, -1)
    distance = (offset * offset).reshape(1, 1, classes, directions).mean(3)
    nearest = -functional.max_pool2d(-distance[:, None], (1, classes))
    return nearest.reshape(1, 1).sqrt()


def _hard_sigmoid(value: Any) -> Any:  # noqa: ANN401 -- a symbol of the graph being made
    """Write a hard sigmoid as arithmetic: OpenCV 5.0 computes ONNX's HardSwish wrongly."""
    return op.Mul(op.Clip(op.Add(value, 3.0), 0.0, 6.0), 1 / 6)


def _hard_swish(value: Any) -> Any:  # noqa: ANN401
    return op.Mul(value, _hard_sigmoid(value))
