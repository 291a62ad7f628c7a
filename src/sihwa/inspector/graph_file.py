"""The ONNX file of an inspector, read without trusting it and without the onnx package.

An ONNX file is a protocol-buffer message, and such messages may be concatenated: the card is
appended to the graph as metadata, so that the bytes before it can be hashed by any reader.

    inspector.onnx = graph (graph.bytes long, SHA-256 graph.sha256) + metadata {"sihwa.card": card}

Field numbers: onnx/onnx.proto, ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sihwa.errors import InvalidInspector

__all__ = ["CARD_KEY", "GraphFile", "append_card", "read_graph_file"]

CARD_KEY = "sihwa.card"
MAX_BYTES = 2**31 - 1  # what protocol buffers allow for one message
_MAX_DEPTH = 16

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_MODEL = {"graph": 7, "opset": 8, "metadata": 14, "training": 20, "functions": 25}
_STANDARD_DOMAINS = ("", "ai.onnx")


@dataclass(frozen=True)
class GraphFile:
    """What the outermost message of an ONNX file says."""

    card: str
    opset: int


def append_card(graph: bytes, card: str) -> bytes:
    """Return the ONNX file made of a graph without metadata and its card."""
    entry = _field(1, CARD_KEY.encode()) + _field(2, card.encode())
    return graph + _field(_MODEL["metadata"], entry)


def read_graph_file(content: bytes, where: str) -> GraphFile:
    """Check the structure of an ONNX file and return its card.

    Refused are: what is no protocol buffer, operators outside the ONNX standard, functions,
    training graphs, tensors stored outside the file, a missing or doubled card or opset.

    Raises:
        InvalidInspector: With the file and the reason.
    """
    if len(content) > MAX_BYTES:
        raise InvalidInspector(f"{where}: {len(content)} bytes are more than an ONNX file can hold")
    try:
        return _read_model(memoryview(content))
    except _Damaged as error:
        raise InvalidInspector(f"{where}: not an inspector: {error}") from error


class _Damaged(Exception):
    """The bytes break a rule; the message says which."""


def _read_model(model: memoryview) -> GraphFile:
    cards: list[str] = []
    opsets: list[int] = []
    graph_count = 0
    for number, value in _fields(model):
        if number == _MODEL["graph"]:
            graph_count += 1
            _check_graph(_message(value), 0)
        elif number == _MODEL["opset"]:
            opsets.append(_read_opset(_message(value)))
        elif number == _MODEL["metadata"]:
            cards += _read_metadata(_message(value))
        elif number in (_MODEL["functions"], _MODEL["training"]):
            raise _Damaged("it holds functions or a training graph, which inspectors never do")
    for what, found in (("graph", graph_count), ("opset", len(opsets)), ("card", len(cards))):
        if found != 1:
            raise _Damaged(f"expected one {what}, found {found}")
    return GraphFile(cards[0], opsets[0])


def _read_opset(message: memoryview) -> int:
    version = 0
    for number, value in _fields(message):
        if number == 1 and _text(value) not in _STANDARD_DOMAINS:
            raise _Damaged(f"it asks for operators of {_text(value)!r}, outside the ONNX standard")
        if number == 2 and isinstance(value, int):
            version = value
    return version


def _read_metadata(message: memoryview) -> list[str]:
    entry = {number: _text(value) for number, value in _fields(message)}
    return [entry.get(2, "")] if entry.get(1) == CARD_KEY else []


def _check_graph(graph: memoryview, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise _Damaged("its graphs are nested too deeply")
    for number, value in _fields(graph):
        if number == 1:
            _check_node(_message(value), depth)
        elif number == 5:
            _check_tensor(_message(value))
        elif number == 15:
            raise _Damaged("it holds sparse tensors, which inspectors never do")


def _check_node(node: memoryview, depth: int) -> None:
    for number, value in _fields(node):
        if number == 7 and _text(value) not in _STANDARD_DOMAINS:
            raise _Damaged(f"it uses an operator of {_text(value)!r}, outside the ONNX standard")
        if number == 5:
            _check_attribute(_message(value), depth)


def _check_attribute(attribute: memoryview, depth: int) -> None:
    for number, value in _fields(attribute):
        if number in (5, 10):  # t, tensors
            _check_tensor(_message(value))
        elif number in (6, 11):  # g, graphs
            _check_graph(_message(value), depth + 1)
        elif number in (22, 23):
            raise _Damaged("it holds sparse tensors, which inspectors never do")


def _check_tensor(tensor: memoryview) -> None:
    for number, value in _fields(tensor):
        if number == 13 or (number == 14 and value != 0):
            raise _Damaged("it keeps tensors in another file, which inspectors never do")


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise _Damaged("a number stands where a message is expected")
    return value


def _text(value: int | memoryview) -> str:
    try:
        return bytes(_message(value)).decode()
    except UnicodeDecodeError as error:
        raise _Damaged("a text is not UTF-8") from error


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield field number and value of a message: an integer, or the bytes of a longer one."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, kind = key >> 3, key & 7
        value: int | memoryview
        if kind == _VARINT:
            value, position = _varint(message, position)
        else:
            length = {_FIXED64: 8, _FIXED32: 4}.get(kind)
            if kind == _LENGTH:
                length, position = _varint(message, position)
            if length is None or number == 0:
                raise _Damaged("it is no protocol buffer")
            if position + length > len(message):
                raise _Damaged("it ends in the middle: truncated")
            value, position = message[position : position + length], position + length
        yield number, value


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise _Damaged("it ends in the middle: truncated")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise _Damaged("it is no protocol buffer")


def _field(number: int, content: bytes) -> bytes:
    return _encode(number << 3 | _LENGTH) + _encode(len(content)) + content


def _encode(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
