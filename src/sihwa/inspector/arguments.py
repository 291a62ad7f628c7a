"""Arguments of operators that end the process in some runtime, so they must be impossible.

They say how far to step, what to cut off and add, and what to divide whole numbers by. A file's own
claims about element types are not asked: types are followed from the tensors on.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import NamedTuple

import numpy as np

from sihwa.inspector.protobuf import Damaged

MAX_ARGUMENT_BYTES = 256
"""Of a tensor whose numbers are looked at; where they matter, a longer one is refused."""

_NUMBERS = {1: "<f4", 2: "u1", 3: "i1", 6: "<i4", 7: "<i8", 10: "<f2", 11: "<f8"}
"""How the numbers of an element type are stored."""
_FLOATS = (1, 10, 11, 16)
_TRUTHS = frozenset(
    ["And", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "Or"]
)
_ANY, _NOT_NEGATIVE, _POSITIVE = "constant", "constant of zero or more", "positive constant"
_SHAPE = "constant shape of at most 16,777,216 numbers"
_MOST_NUMBERS = 2**24
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
"""What the inputs of an operator must be, where they are given, by their places from 0."""


class Tensor(NamedTuple):
    """A tensor that the file holds: its name, element type and bytes."""

    name: str
    element: int
    content: bytes


@dataclass
class Node:
    """An operator: the names of the values it takes and makes; "" stands for none."""

    takes: list[str] = field(default_factory=list)
    makes: list[str] = field(default_factory=list)
    operator: str = ""
    attributes: set[str] = field(default_factory=set)
    cast_to: int = 0
    """Element type that a Cast makes."""
    constant: Tensor | None = None
    """What a Constant or ConstantOfShape holds."""


def check_arguments(tensors: Iterable[Tensor], nodes: Iterable[Node]) -> None:
    """Check that what must be a constant is one, and large enough.

    Whole numbers divided by zero, or the least of them by -1, end the process in the processor
    itself; steps of zero do in OpenVINO, pads below zero let it write outside of its memory, and
    shapes of any size keep it busy for minutes.

    Raises:
        Damaged: An argument is something else.
    """
    constants = {tensor.name: tensor for tensor in tensors}
    element = {tensor.name: tensor.element for tensor in constants.values()}
    for node in nodes:
        if node.operator == "Constant" and node.constant:
            constants.update((name, node.constant) for name in node.makes)
        for name, kind in _arguments(node, element):
            if not _is(kind, constants.get(name)):
                raise Damaged(f"its {node.operator} takes something else than a {kind}")
        element.update((name, _element_made(node, place, element))
                       for place, name in enumerate(node.makes))  # fmt: skip


def _arguments(node: Node, element: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """Yield the inputs of an operator that must be something, and what."""
    places = _ARGUMENTS.get(node.operator, {})
    if node.operator == "Div" and element.get("".join(node.takes[:1])) not in _FLOATS:
        places = {1: _POSITIVE}
    for place, kind in places.items():
        if "".join(node.takes[place : place + 1]):
            yield node.takes[place], kind


def _element_made(node: Node, place: int, element: Mapping[str, int]) -> int:
    """Return the element type of an operator's output; 0, which is none, where nothing is known."""
    if node.operator == "Cast":
        return node.cast_to
    if node.operator in ("Constant", "ConstantOfShape"):
        return node.constant.element if node.constant else 0
    if node.operator == "Shape" or (node.operator == "MaxPool" and place == 1):
        return 7
    if node.operator in _TRUTHS:
        return 9
    if node.operator == "QuantizeLinear":
        return 2
    # most make what they are given; of these it stands in the second place
    given = 1 if node.operator in ("Where", "DequantizeLinear") else 0
    return element.get(node.takes[given], 0) if len(node.takes) > given else 0


def _is(kind: str, tensor: Tensor | None) -> bool:
    if tensor is None or (kind != _ANY and not tensor.content):
        return False
    if kind == _ANY:
        return True
    if tensor.element not in _NUMBERS:
        return False
    numbers = np.frombuffer(tensor.content, _NUMBERS[tensor.element])
    if kind == _SHAPE:
        return bool((numbers >= 1).all()) and prod(numbers.tolist()) <= _MOST_NUMBERS
    return bool((numbers > 0 if kind == _POSITIVE else numbers >= 0).all())
