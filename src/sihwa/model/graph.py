"""Export a network as one ONNX graph for images of any number and size."""

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import onnx
import onnx.numpy_helper
import torch
from onnxscript import opset18
from torch import Tensor, nn
from torch.func import functional_call

from sihwa.model.network import Network, Prediction
from sihwa.terminal.console import quieten
from sihwa.terminal.guard import keeping_interrupts

op: Any = opset18  # its types demand wrappers that it creates itself
OPSET = 18
"""Oldest opset that the graph needs; every runtime of the last three years reads it."""


# the tracer prints the whole stack when it turns Ctrl-C into an error
_CHATTY = ("torch.onnx", "torch._subclasses.fake_tensor")

_templates: dict[tuple[str, int], onnx.ModelProto] = {}


def export_graph(network: Network) -> bytes:
    """Return the network as ONNX: image (N, H, W, 3) uint8 → the fields of `Prediction`.

    Exporting the backbone takes seconds, so the graph is cached for networks with the same
    backbone. The weights after the backbone are inputs of the cached graph, so the exporter cannot
    fold them into anything; here they become constants.
    """
    key = (network.backbone_digest(), network.classifier.out_features)
    if key not in _templates:
        _templates.clear()  # a run needs one, and each is as large as a network
        _templates[key] = _export(_OpenEnd(network), list(Prediction._fields), _end_of(network))
    model = onnx.ModelProto()
    model.CopyFrom(_templates[key])
    del model.graph.input[1:]
    for name, tensor in _end_of(network).items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(tensor.numpy(), name))
    return serialise(model)


def export_activation(layers: nn.Module) -> bytes:
    """Return frozen layers as ONNX: image (N, H, W, 3) uint8 → activation (N, C, h, w)."""
    return serialise(_export(layers, ["activation"], {}))


class _OpenEnd(nn.Module):
    """A network that takes the weights after its backbone as inputs."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.names = list(_end_of(network))

    def forward(self, image: Tensor, *end: Tensor) -> Prediction:
        values = dict(zip(self.names, end, strict=True))
        prediction: Prediction = functional_call(self.network, values, (image,))
        return prediction


def _end_of(network: Network) -> dict[str, Tensor]:
    """Return the weights after the backbone, by name."""
    return {
        name: tensor.detach().cpu()
        for name, tensor in network.state_dict().items()
        if name.partition(".")[0] not in ("backbone", "preprocessing")
    }


def _export(module: nn.Module, outputs: list[str], end: dict[str, Tensor]) -> onnx.ModelProto:
    # sizes must differ from each other and from 0 and 1, on which the exporter specialises
    example = torch.zeros(2, 300, 260, 3, dtype=torch.uint8)
    shape = {place: torch.export.Dim(name, min=1, max=65536) for place, name in enumerate("NHW")}
    shapes: tuple[Any, ...] = (shape, ({},) * len(end)) if end else (shape,)
    return trace(module, (example, *end.values()), ["image", *end], outputs, shapes)


def trace(
    module: nn.Module,
    example: tuple[Tensor, ...],
    inputs: list[str],
    outputs: list[str],
    dynamic_shapes: tuple[Any, ...] | None = None,
    translations: Mapping[Any, Callable[..., Any]] | None = None,
) -> onnx.ModelProto:
    """Return a module as ONNX without the exporter's notes, and move it to the CPU.

    Without `dynamic_shapes` no axis is free. `translations` says how to write operators of PyTorch.
    """
    with (
        torch.no_grad(),
        keeping_interrupts(),
        quieten(*_CHATTY),
        contextlib.redirect_stdout(io.StringIO()),
        _nothing_in_place(module),
    ):
        program = torch.onnx.export(
            module.eval().cpu(),
            example,
            dynamo=True,
            opset_version=OPSET,
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=dynamic_shapes,
            verbose=False,
            custom_translation_table={
                torch.ops.aten.group_norm.default: _group_norm,
                **(translations or {}),
            },
        )
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    _strip(model)
    return model


def _group_norm(
    image: Any,  # noqa: ANN401 -- a symbol of the graph being made, as all of them
    groups: int,
    weight: Any = None,  # noqa: ANN401
    bias: Any = None,  # noqa: ANN401
    eps: float = 1e-5,
    cudnn_enabled: bool = True,  # noqa: ARG001
) -> Any:  # noqa: ANN401
    """Write a group norm as arithmetic.

    The exporter would write InstanceNormalization, with which ONNX Runtime reads out of bounds if a
    map is empty; so inspectors must not contain that operator.
    """
    grouped = op.Reshape(image, op.Constant(value_ints=[0, groups, -1]))
    along = op.Constant(value_ints=[2])
    centred = op.Sub(grouped, op.ReduceMean(grouped, along))
    spread = op.Sqrt(op.Add(op.ReduceMean(op.Mul(centred, centred), along), eps))
    result = op.Reshape(op.Div(centred, spread), op.Shape(image))
    channel = op.Constant(value_ints=[1, 2])
    if weight is not None:
        result = op.Mul(result, op.Unsqueeze(weight, channel))
    return result if bias is None else op.Add(result, op.Unsqueeze(bias, channel))


def serialise(model: onnx.ModelProto) -> bytes:
    """Return the file of a checked model."""
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _strip(model: onnx.ModelProto) -> None:
    """Remove the exporter's notes: they hold source paths of the machine that trained."""
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
def _nothing_in_place(module: nn.Module) -> Iterator[None]:
    """Turn off in-place activations: the exporter takes twice as long with them."""
    changed: list[Any] = [layer for layer in module.modules() if getattr(layer, "inplace", False)]
    for layer in changed:
        layer.inplace = False
    try:
        yield
    finally:
        for layer in changed:
            layer.inplace = True
