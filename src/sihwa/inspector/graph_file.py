"""The ONNX file of an inspector, read without trusting it and without the onnx package.

An ONNX file is a protocol-buffer message, and such messages may be concatenated: the card is
appended to the graph as metadata, so that the bytes before it can be hashed by any reader.

    inspector.onnx = graph (graph.bytes long, SHA-256 graph.sha256) + metadata {"sihwa.card": card}

What a graph may hold is listed here, not what it may not: whoever wants to smuggle something in
has to do it with arithmetic. Field numbers: onnx/onnx.proto, ModelProto and what it holds.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

from sihwa.errors import InvalidInspector
from sihwa.inspector.arguments import MAX_ARGUMENT_BYTES, Node, Tensor, check_arguments
from sihwa.inspector.operators import OPERATORS
from sihwa.inspector.protobuf import (
    Damaged,
    Reader,
    Value,
    as_message,
    as_numbers,
    as_text,
    encode_field,
)

CARD_KEY = "sihwa.card"
MAX_BYTES = 2**31 - 1  # what protocol buffers allow for one message
OPSET = 18
"""The one that sihwa.model exports; another meaning of an operator is another decision."""

_ATTRIBUTE_FIELD = {1: 2, 2: 3, 3: 4, 4: 5, 5: 6, 6: 7, 7: 8, 8: 9, 9: 10, 10: 11}
"""In which field an attribute of each AttributeProto.AttributeType has its value."""
_MAX_FIELDS = 1_000_000  # hrnet_w18, with its 21,000, has the most tried
_MAX_NODES = 10_000
_MAX_AXES = 8
_STANDARD_DOMAINS = ("", "ai.onnx")
_ELEMENTS = {
    1: ("float32", 4), 2: ("uint8", 1), 3: ("int8", 1), 6: ("int32", 4), 7: ("int64", 8),
    9: ("bool", 1), 10: ("float16", 2), 11: ("float64", 8), 16: ("bfloat16", 2),
}  # fmt: skip
"""Name and bytes of each TensorProto.DataType that an inspector may hold."""


@dataclass(frozen=True)
class Port:
    """An input or output of the graph: its element type, and its axes with None where free."""

    element: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        axes = ", ".join("free" if axis is None else str(axis) for axis in self.shape)
        return f"{self.element} ({axes})"


@dataclass(frozen=True)
class GraphFile:
    """What an ONNX file says of itself."""

    card: str
    inputs: dict[str, Port]
    outputs: dict[str, Port]


def append_card(graph: bytes, card: str) -> bytes:
    """Return the ONNX file made of a graph without metadata and its card."""
    entry = encode_field(1, CARD_KEY.encode()) + encode_field(2, card.encode())
    return graph + encode_field(14, entry)


def read_graph_file(content: bytes, where: str, *, with_card: bool = True) -> GraphFile:
    """Check the structure of an ONNX file; the weights in it are stepped over, not read.

    Refused are: what is no protocol buffer; operators that are not in `OPERATORS`; subgraphs,
    functions and training graphs; tensors that are sparse, stored outside the file or of another
    size than they say; values that are made twice, or used before they are made; metadata other
    than one card; an opset other than `OPSET`.

    Args:
        content: The whole file.
        where: Its name, for messages.
        with_card: Whether it must hold a card, or must not.

    Raises:
        InvalidInspector: With the file and the reason.
    """
    if len(content) > MAX_BYTES:
        raise InvalidInspector(f"{where}: {len(content)} bytes are more than an ONNX file can hold")
    try:
        return _Walk().model(memoryview(content), 1 if with_card else 0)
    except Damaged as error:
        raise InvalidInspector(
            f"{where}: not an inspector's graph: {error}. Copy or export the inspector again"
        ) from error


def find_card(content: bytes) -> str:
    """Return the card of an ONNX file, of which nothing else is looked at; "" if none is found."""
    fields = Reader(_MAX_FIELDS).fields
    try:
        for number, value in fields(memoryview(content)):
            entry = dict(fields(as_message(value))) if number == 14 else {}
            if as_text(entry.get(1, memoryview(b""))) == CARD_KEY:
                return as_text(entry.get(2, memoryview(b"")))
    except Damaged:
        pass
    return ""


class _Walk:
    """One pass over a file. Each method checks one kind of message of onnx.proto."""

    def __init__(self) -> None:
        self.fields = Reader(_MAX_FIELDS).fields

    def model(self, message: memoryview, card_count: int) -> GraphFile:
        graphs: list[tuple[dict[str, Port], dict[str, Port]]] = []
        cards: list[str] = []
        opsets = 0
        for number, value in self.fields(message):
            if number == 7:
                graphs.append(self.graph(as_message(value)))
            elif number == 8:
                opsets += 1
                self.opset(as_message(value))
            elif number == 14:
                cards.append(self.card(as_message(value)))
            elif number in (20, 25):
                raise Damaged("it holds functions or a training graph, which inspectors never do")
        for what, count in (("graph", len(graphs)), ("opset", opsets)):
            if count != 1:
                raise Damaged(f"expected one {what}, found {count}")
        if len(cards) != card_count:
            raise Damaged(f"expected {'one' if card_count else 'no'} card, found {len(cards)}")
        return GraphFile(cards[0] if cards else "", *graphs[0])

    def opset(self, message: memoryview) -> None:
        version: Value = 0
        for number, value in self.fields(message):
            if number == 1 and as_text(value) not in _STANDARD_DOMAINS:
                raise Damaged(f"it asks for operators of {_short(value)}, outside the standard")
            if number == 2:
                version = value
        if version != OPSET:
            raise Damaged(f"expected opset {OPSET}, found {version}")

    def card(self, message: memoryview) -> str:
        entry = dict(self.fields(message))
        if as_text(entry.get(1, memoryview(b""))) != CARD_KEY:
            raise Damaged(f"expected no metadata but {CARD_KEY}, found {_short(entry.get(1, 0))}")
        return as_text(entry.get(2, memoryview(b"")))

    def graph(self, message: memoryview) -> tuple[dict[str, Port], dict[str, Port]]:
        nodes: list[Node] = []
        tensors: list[Tensor] = []
        ports: dict[int, dict[str, Port]] = {11: {}, 12: {}}
        for number, value in self.fields(message):
            if number == 1:
                nodes.append(self.node(as_message(value)))
            elif number == 5:
                tensors.append(self.tensor(as_message(value)))
            elif number in ports:
                name, port = self.port(as_message(value))
                if name in ports[number]:
                    raise Damaged(f"it has {name[:60]!r} twice")
                ports[number][name] = port
            elif number == 15:
                raise Damaged("it holds sparse tensors, which inspectors never do")
        if not nodes:
            raise Damaged("its graph is empty")
        _check_flow([*ports[11], *(tensor.name for tensor in tensors)], nodes, ports[12])
        if len(nodes) > _MAX_NODES:
            raise Damaged(f"it has {len(nodes)} operators, more than {_MAX_NODES}")
        check_arguments(tensors, nodes)
        return ports[11], ports[12]

    def node(self, message: memoryview) -> Node:
        operators: list[Value] = []
        node = Node()
        for number, value in self.fields(message):
            if number in (1, 2):
                (node.takes if number == 1 else node.makes).append(as_text(value))
            elif number == 4:
                operators.append(value)
            elif number == 5:
                self.attribute(as_message(value), node)
            elif number == 7 and as_text(value) not in _STANDARD_DOMAINS:
                raise Damaged(f"it uses an operator of {_short(value)}, outside the standard")
        if len(operators) != 1 or as_text(operators[0]) not in OPERATORS:
            name = _short(operators[0]) if operators else "without a name"
            raise Damaged(f"it uses the operator {name}, which inspectors never do")
        node.operator = as_text(operators[0])
        if node.operator == "Constant" and (node.attributes != {"value"} or not node.constant):
            raise Damaged("a constant is given by something else than one tensor")
        return node

    def attribute(self, message: memoryview, node: Node) -> None:
        name, whole, kind = "", 0, 0
        held: set[int] = set()
        tensor = None
        for number, value in self.fields(message):
            if number == 1:
                name = as_text(value)
            elif number == 20 and isinstance(value, int):
                kind = value
            elif 2 <= number <= 11:
                held.add(number)
            if number == 3 and isinstance(value, int):
                whole = value
            elif number in (5, 10):
                tensor = self.tensor(as_message(value))
            elif number in (6, 11):
                raise Damaged("it holds a graph within the graph, which inspectors never do")
            elif number in (22, 23):
                raise Damaged("it holds sparse tensors, which inspectors never do")
        if name in node.attributes:
            raise Damaged(f"an operator has the attribute {name[:60]!r} twice")
        if not held <= {_ATTRIBUTE_FIELD.get(kind)}:
            # which of them counts differs from runtime to runtime
            raise Damaged(f"the attribute {name[:60]!r} holds something else than its type says")
        node.attributes.add(name)
        if name == "value":
            node.constant = tensor
        if name == "to":
            node.cast_to = whole

    def tensor(self, message: memoryview) -> Tensor:
        """Check that a tensor is as long as it says, so that loading it allocates no more."""
        name = ""
        axes: list[int] = []
        element: Value = 0
        content = b""
        held = 0
        for number, value in self.fields(message):
            if number == 1:
                axes += as_numbers(value, _MAX_AXES)
            elif number == 2:
                element = value
            elif number == 8:
                name = as_text(value)
            elif number == 9:
                held += len(as_message(value))
                content = bytes(as_message(value)[:MAX_ARGUMENT_BYTES])
            elif number == 13 or (number == 14 and value != 0):
                raise Damaged("it keeps tensors in another file, which inspectors never do")
        if not isinstance(element, int) or element not in _ELEMENTS or len(axes) > _MAX_AXES:
            raise Damaged(f"it holds a tensor of {len(axes)} axes and element type {element}")
        said = prod(axes) * _ELEMENTS[element][1]
        if said != held:
            raise Damaged(f"a tensor says it has {said} bytes and has {held}")
        return Tensor(name, element, content if len(content) == held else b"")

    def port(self, message: memoryview) -> tuple[str, Port]:
        """Return name and type; whatever is not a tensor has element type "other"."""
        name, element, shape = "", "other", list[int | None]()
        for number, value in self.fields(message):
            if number == 1:
                name = as_text(value)
            elif number == 2:
                for kind, tensor in self.fields(as_message(value)):
                    if kind == 1:
                        element, axes = self.tensor_type(as_message(tensor))
                        shape += axes  # a message that comes twice is joined
        return name, Port(element, tuple(shape))

    def tensor_type(self, message: memoryview) -> tuple[str, list[int | None]]:
        element, shape = "other", list[int | None]()
        for number, value in self.fields(message):
            if number == 1 and isinstance(value, int):
                element = _ELEMENTS.get(value, ("other", 0))[0]
            elif number == 2:
                shape += [self.axis(as_message(a)) for _, a in self.fields(as_message(value))]
        return element, shape

    def axis(self, message: memoryview) -> int | None:
        length = None
        for number, value in self.fields(message):
            if number == 1 and isinstance(value, int):
                length = value
        return length


def _check_flow(given: Iterable[str], nodes: Iterable[Node], results: Iterable[str]) -> None:
    """Check that each value is made once, and before it is used; so there are no cycles either.

    ONNX demands it, but not every runtime refuses what breaks it, and each reads that its own way.
    """
    known: set[str] = set()
    for node in (Node([], list(given)), *nodes, Node(list(results), [])):
        for name in node.takes:
            if name and name not in known:
                raise Damaged(f"it uses {name[:60]!r} before that is made")
        for name in node.makes:
            if name and name in known:
                raise Damaged(f"it makes {name[:60]!r} twice")
            known.add(name)


def _short(value: Value) -> str:
    """Quote a text of the file for a message: on one line, at most 60 letters of it."""
    return repr(bytes(as_message(value))[:60].decode(errors="replace"))
