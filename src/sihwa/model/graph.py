"""The network as one ONNX graph that takes pictures of any number and size."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import onnx
import torch
from torch import nn

from sihwa.model.network import Network, Prediction

__all__ = ["OPSET", "export_activation", "export_embedding", "export_graph"]

OPSET = 18
"""Oldest opset the graph needs: every runtime of the last three years reads it."""


def export_graph(network: Network) -> bytes:
    """Return the network as ONNX: image (N, H, W, 3) uint8 → the fields of `Prediction`."""
    return _export(network, list(Prediction._fields))


def export_embedding(network: Network) -> bytes:
    """Return the network up to its embedding as ONNX: image (N, H, W, 3) uint8 → embedding."""
    return _export(_Embedding(network), ["embedding"])


def export_activation(trunk: nn.Module) -> bytes:
    """Return a network's trunk as ONNX: image (N, H, W, 3) uint8 → activation (N, C, h, w)."""
    return _export(trunk, ["activation"])


class _Embedding(nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.network.embed(image)


def _export(module: nn.Module, outputs: list[str]) -> bytes:
    # Any sizes do that differ from each other and from 1: the exporter specialises on 0 and 1.
    example = torch.zeros(2, 300, 260, 3, dtype=torch.uint8)
    axis = torch.export.Dim
    shape = {
        0: axis("N", min=1, max=65536),
        1: axis("H", min=1, max=65536),
        2: axis("W", min=1, max=65536),
    }
    with torch.no_grad(), _quiet():
        program = torch.onnx.export(
            module.eval().cpu(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["image"],
            output_names=outputs,
            dynamic_shapes=(shape,),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _strip(model)
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _strip(model: onnx.ModelProto) -> None:
    """Remove the exporter's notes: source paths of the machine that trained do not ship."""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
        tensor.doc_string = ""
    del model.graph.metadata_props[:]
    del model.metadata_props[:]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's progress chatter off the user's terminal; errors still raise."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
