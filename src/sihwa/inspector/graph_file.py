"""The ONNX file of an inspector, read without trusting it.

An ONNX file is a protocol-buffer message, and such messages may be concatenated: the card is
appended to the graph as metadata, so that any reader can hash the bytes before it.

    inspector.onnx = graph (graph.bytes long, SHA-256 graph.sha256) + metadata {"sihwa.card": card}

`onnx` parses the bytes; what they may hold is listed here. No external data is ever read.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from sihwa.errors import InvalidInspector
from sihwa.inspector.operators import ELEMENTS, OPERATORS, Damaged, check_arguments, onnx

CARD_KEY = "sihwa.card"
MAX_BYTES = 2**31 - 1
"""Of one message, the limit of protocol buffers."""
MAX_NODES = 10_000
MAX_AXES = 8
OPSET = 18
"""The one that sihwa.model exports; another meaning of an operator is another decision."""

_VALUE_FIELD = {
    onnx.AttributeProto.FLOAT: "f",
    onnx.AttributeProto.INT: "i",
    onnx.AttributeProto.STRING: "s",
    onnx.AttributeProto.TENSOR: "t",
    onnx.AttributeProto.FLOATS: "floats",
    onnx.AttributeProto.INTS: "ints",
    onnx.AttributeProto.STRINGS: "strings",
}
"""Where an attribute of each type holds its value; of no type is a graph within the graph."""
_FIELDS = {
    "ModelProto": "ir_version producer_name producer_version domain model_version doc_string graph "
    "opset_import metadata_props",
    "GraphProto": "name node initializer input output value_info doc_string metadata_props",
    "NodeProto": "name op_type domain input output attribute doc_string metadata_props",
    "TensorProto": "name dims data_type raw_data doc_string",
}
"""The fields that a message may have."""


@dataclass(frozen=True)
class Port:
    """An input or output of the graph: its element type, and its axes with None where free."""

    element: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        axes = ", ".join("free" if axis is None else str(axis) for axis in self.shape)
        return f"{self.element} ({axes})"


class Ports(NamedTuple):
    """The declared inputs and outputs of a graph, by name."""

    inputs: dict[str, Port]
    outputs: dict[str, Port]


def append_card(graph: bytes, card: str) -> bytes:
    """Return the ONNX file made of a graph without metadata and its card."""
    metadata = onnx.ModelProto()
    metadata.metadata_props.add(key=CARD_KEY, value=card)
    return graph + bytes(metadata.SerializeToString())


def parse_graph(content: bytes, where: str) -> onnx.ModelProto:
    """Parse an ONNX file, of which nothing else is checked yet."""
    if len(content) > MAX_BYTES:
        raise InvalidInspector(f"{where}: {len(content)} bytes are more than an ONNX file can hold")
    try:
        model = onnx.ModelProto()
        model.ParseFromString(content)
    except DecodeError as error:
        raise _refusal(where, "it is not an ONNX file") from error
    return model


def find_card(model: onnx.ModelProto, where: str) -> str:
    """Return the text of the card, of which there must be exactly one."""
    cards = [entry.value for entry in model.metadata_props if entry.key == CARD_KEY]
    if len(cards) != 1:
        raise _refusal(where, f"expected one card, found {len(cards)}")
    if not isinstance(cards[0], str):  # bytes where it is not UTF-8
        raise _refusal(where, "its card is not UTF-8")
    return cards[0]


def check_graph(
    model: onnx.ModelProto, length: int, where: str, *, with_card: bool = True
) -> Ports:
    """Check what an ONNX file holds, and return its inputs and outputs.

    Refused are: operators that are not in `OPERATORS`, or with arguments out of bounds; subgraphs,
    functions and training graphs; tensors that are sparse, stored outside the file or of another
    size than they declare; values that are made twice, or used before they are made; metadata
    other than one card, or any if not `with_card`; an opset other than `OPSET`; fields that ONNX
    does not know. `length` is that of the file in bytes, `where` its name for messages.
    """
    try:
        _check_fields(model)
        _check_versions(model)
        keys = [entry.key for entry in model.metadata_props]
        if keys != [CARD_KEY] * with_card:
            expected = f"only {CARD_KEY}" if with_card else "none"
            raise Damaged(f"expected {expected} as metadata, found {str(keys)[:80]}")
        ports = _check_graph(model.graph)
        # a runtime that knows such fields, or counts another of two, would read another graph
        model.DiscardUnknownFields()
        if model.ByteSize() != length:
            raise Damaged("it holds unknown fields, or a field twice")
    except Damaged as error:
        raise _refusal(where, str(error)) from error
    return ports


def _refusal(where: str, reason: str) -> InvalidInspector:
    return InvalidInspector(
        f"{where}: not an inspector's graph: {reason}. Copy or export the inspector again"
    )


def _check_fields(message: Any) -> None:  # noqa: ANN401 -- any message of ONNX
    kind = message.DESCRIPTOR.name
    strange = {field.name for field, _ in message.ListFields()} - {*_FIELDS[kind].split()}
    if strange:
        raise Damaged(f"its {kind} has {min(strange)}, which inspectors never have")


def _check_versions(model: onnx.ModelProto) -> None:
    opsets = [(opset.domain, opset.version) for opset in model.opset_import]
    if opsets not in ([("", OPSET)], [("ai.onnx", OPSET)]):
        raise Damaged(f"expected the standard operators of opset {OPSET}, found {str(opsets)[:80]}")


def _check_graph(graph: onnx.GraphProto) -> Ports:
    _check_fields(graph)
    if not 0 < len(graph.node) <= MAX_NODES:
        raise Damaged(f"expected 1 to {MAX_NODES} operators, found {len(graph.node)}")
    for tensor in graph.initializer:
        _check_tensor(tensor)
    for node in graph.node:
        _check_node(node)
    ports = Ports(_ports(graph.input), _ports(graph.output))
    _check_flow(graph, ports)
    check_arguments(graph)
    return ports


def _check_node(node: onnx.NodeProto) -> None:
    _check_fields(node)
    if node.op_type not in OPERATORS or node.domain not in ("", "ai.onnx"):
        raise Damaged(
            f"it uses the operator {node.op_type[:60]!r} of the domain {node.domain[:60]!r}, which "
            "inspectors never do"
        )
    names = [attribute.name for attribute in node.attribute]
    if len(set(names)) != len(names):
        raise Damaged(f"an operator has an attribute twice among {str(names)[:80]}")
    for attribute in node.attribute:
        _check_attribute(attribute)
    if node.op_type == "Constant" and (names != ["value"] or not node.attribute[0].HasField("t")):
        raise Damaged("a Constant is given by something else than one tensor")


def _check_attribute(attribute: onnx.AttributeProto) -> None:
    held = {field.name for field, _ in attribute.ListFields()} - {"name", "type", "doc_string"}
    # which of several values counts differs from runtime to runtime
    if not held <= {_VALUE_FIELD.get(attribute.type)}:
        raise Damaged(
            f"the attribute {attribute.name[:60]!r} holds {', '.join(sorted(held))}, which its "
            "type does not allow"
        )
    if "t" in held:
        _check_tensor(attribute.t)


def _check_tensor(tensor: onnx.TensorProto) -> None:
    """Check that a tensor is as long as it declares, so that loading it allocates no more."""
    _check_fields(tensor)
    if tensor.data_type not in ELEMENTS or len(tensor.dims) > MAX_AXES:
        raise Damaged(
            f"it holds a tensor of {len(tensor.dims)} axes and element type {tensor.data_type}"
        )
    declared = prod(tensor.dims) * ELEMENTS[tensor.data_type][1]
    if declared != len(tensor.raw_data):
        raise Damaged(f"a tensor declares {declared} bytes and has {len(tensor.raw_data)}")


def _ports(values: Iterable[onnx.ValueInfoProto]) -> dict[str, Port]:
    """Return inputs or outputs by name; what is not a tensor has element type "other"."""
    ports = {}
    for value in values:
        if value.name in ports:
            raise Damaged(f"it has {value.name[:60]!r} twice")
        tensor = value.type.tensor_type
        shape = [a.dim_value if a.HasField("dim_value") else None for a in tensor.shape.dim]
        ports[value.name] = Port(ELEMENTS.get(tensor.elem_type, ("other", 0))[0], tuple(shape))
    return ports


def _check_flow(graph: onnx.GraphProto, ports: Ports) -> None:
    """Check that each value is made once, and before it is used; so there are no cycles either.

    ONNX demands it, but not every runtime refuses what breaks it, and each reads that its own way.
    """
    known: set[str] = set()
    _make(known, [*ports.inputs, *(tensor.name for tensor in graph.initializer)])
    for node in graph.node:
        _use(known, node.input)
        _make(known, node.output)
    _use(known, ports.outputs)


def _make(known: set[str], names: Iterable[str]) -> None:
    for name in names:
        if not isinstance(name, str):  # bytes where it is not UTF-8
            raise Damaged(f"the name {name[:60]!r} is not UTF-8")
        if name and name in known:
            raise Damaged(f"it makes {name[:60]!r} twice")
        known.add(name)


def _use(known: set[str], names: Iterable[str]) -> None:
    for name in names:
        if name and name not in known:
            raise Damaged(f"it uses {name[:60]!r} before that is made")
