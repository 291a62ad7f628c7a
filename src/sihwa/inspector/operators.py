"""The operators that an inspector's graph may hold, and the bounds of their arguments.

Operators are listed by what is allowed, not by what is not: anything else would have to be done by
arithmetic. Some arguments end the process in one runtime or another, so they must be constants
within bounds: docs/decisions/0008-bounded-arguments.md.
"""

from collections.abc import Iterator, Mapping
from math import prod
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx as onnx
else:  # its messages without the rest, whose import takes 50 ms
    from importlib.util import find_spec, module_from_spec, spec_from_file_location
    from pathlib import Path

    _folder = Path(find_spec("onnx").origin).parent
    _spec = spec_from_file_location("onnx.onnx_ml_pb2", _folder / "onnx_ml_pb2.py")
    onnx = module_from_spec(_spec)
    _spec.loader.exec_module(onnx)

_OPERATORS = {
    "arithmetic": "Abs Add Ceil Clip Cos Div Erf Exp Floor Log Max Min Mul Neg Pow "
    "Reciprocal Round Sin Sqrt Sub",
    "comparison": "And Equal Greater GreaterOrEqual Less LessOrEqual Not Or Where",
    "activations": "Elu HardSigmoid HardSwish LeakyRelu Mish PRelu Relu Selu Sigmoid Softmax "
    "Softplus Tanh",
    "layers": "AveragePool BatchNormalization Conv ConvTranspose Gemm GlobalAveragePool "
    "GlobalMaxPool LayerNormalization MatMul MaxPool Resize",
    "reductions": "ReduceL2 ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum",
    "shapes": "Cast Concat Constant ConstantOfShape DepthToSpace Expand Flatten Gather Identity "
    "Pad Range Reshape Shape Slice SpaceToDepth Split Squeeze Transpose Unsqueeze",
    "8-bit integers": "DequantizeLinear QuantizeLinear",
}
OPERATORS = frozenset(" ".join(_OPERATORS.values()).split())
"""Those of convolutional networks: functions of tensors, without control flow or chance."""

MAX_ARGUMENT_BYTES = 256
"""Of a constant whose numbers are bounded."""
MAX_NUMBERS = 2**24
"""Of a tensor whose shape is an argument."""

ELEMENTS: dict[int, tuple[str, int]] = {
    onnx.TensorProto.FLOAT: ("float32", 4),
    onnx.TensorProto.UINT8: ("uint8", 1),
    onnx.TensorProto.INT8: ("int8", 1),
    onnx.TensorProto.INT32: ("int32", 4),
    onnx.TensorProto.INT64: ("int64", 8),
    onnx.TensorProto.BOOL: ("bool", 1),
    onnx.TensorProto.FLOAT16: ("float16", 2),
    onnx.TensorProto.DOUBLE: ("float64", 8),
    onnx.TensorProto.BFLOAT16: ("bfloat16", 2),
}
"""Name and bytes of each element type that an inspector may hold."""
_NOT_NUMBERS = (onnx.TensorProto.BOOL, onnx.TensorProto.BFLOAT16)
"""Of no bounded argument."""
_FLOATS = [kind for kind, (name, _) in ELEMENTS.items() if "float" in name]
_TRUTHS = frozenset(
    ["And", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "Or"]
)
_ANY, _NOT_NEGATIVE, _POSITIVE = "constant", "constant of zero or more", "positive constant"
_SHAPE = "constant shape of at most 16,777,216 numbers"
_ARGUMENTS = {
    "ConstantOfShape": {0: _SHAPE},
    "Expand": {1: _SHAPE},
    "Pad": {1: _NOT_NEGATIVE, 3: _ANY},
    "Range": {2: _POSITIVE},
    "Slice": {1: _ANY, 2: _ANY, 3: _ANY, 4: _POSITIVE},
    **{
        name: {1: _ANY}
        for name in (
            "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "Split",
            "Squeeze", "Unsqueeze",
        )
    },
}  # fmt: skip
"""What the inputs of an operator must be where they are given, by place from 0."""


class Damaged(Exception):
    """The graph breaks a rule; the message says which."""


def check_arguments(graph: onnx.GraphProto) -> None:
    """Check that what must be a constant is one, within bounds.

    Integers divided by zero, or the least of them by -1, end the process in the processor itself;
    steps of zero do in OpenVINO, negative pads let it write outside its memory, and shapes of any
    size keep it busy for minutes. Element types are followed from the tensors on: the types that a
    file declares are not trusted.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    element = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            constants.update((name, node.attribute[0].t) for name in node.output)
        for name, kind in _bounded_inputs(node, element):
            if not _is(kind, constants.get(name)):
                raise Damaged(f"its {node.op_type} takes something else than a {kind}")
        for place, name in enumerate(node.output):
            element[name] = _element_made(node, place, element)


def _bounded_inputs(node: onnx.NodeProto, element: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """Yield the inputs of an operator that are bounded, and how."""
    places = _ARGUMENTS.get(node.op_type, {})
    if node.op_type == "Div" and element.get("".join(node.input[:1])) not in _FLOATS:
        places = {1: _POSITIVE}
    for place, kind in places.items():
        if "".join(node.input[place : place + 1]):
            yield node.input[place], kind


def _element_made(node: onnx.NodeProto, place: int, element: Mapping[str, int]) -> int:
    """Return the element type of an operator's output; 0 if it is unknown."""
    attributes = {attribute.name: attribute for attribute in node.attribute}
    if node.op_type == "Cast":
        return attributes["to"].i if "to" in attributes else 0
    if node.op_type in ("Constant", "ConstantOfShape"):
        return attributes["value"].t.data_type if "value" in attributes else 0
    if node.op_type == "Shape" or (node.op_type == "MaxPool" and place == 1):
        return onnx.TensorProto.INT64
    if node.op_type in _TRUTHS:
        return onnx.TensorProto.BOOL
    if node.op_type == "QuantizeLinear":
        return onnx.TensorProto.UINT8
    # most keep the type of their first input; these keep that of their second
    kept = 1 if node.op_type in ("Where", "DequantizeLinear") else 0
    return element.get(node.input[kept], 0) if len(node.input) > kept else 0


def _is(kind: str, tensor: onnx.TensorProto | None) -> bool:
    if tensor is None or kind == _ANY:
        return tensor is not None
    content = tensor.raw_data
    if not 0 < len(content) <= MAX_ARGUMENT_BYTES or tensor.data_type in _NOT_NUMBERS:
        return False
    numbers = np.frombuffer(content, np.dtype(ELEMENTS[tensor.data_type][0]).newbyteorder("<"))
    if kind == _SHAPE:
        return bool((numbers >= 1).all()) and prod(numbers.tolist()) <= MAX_NUMBERS
    return bool((numbers > 0 if kind == _POSITIVE else numbers >= 0).all())
