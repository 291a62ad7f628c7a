"""Division of whole numbers in a graph: by zero it ends the process, so it must be impossible.

A file's own claims about element types are not asked: types are followed from the tensors on.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from sihwa.inspector.protobuf import Damaged

__all__ = ["MAX_DIVISOR_BYTES", "Node", "Tensor", "check_divisions"]

MAX_DIVISOR_BYTES = 64
"""Of a tensor that can be a divisor: a longer one is not looked at."""

_INTEGERS = {2: 1, 3: 1, 6: 4, 7: 8}
"""Bytes of each integer type of `_ELEMENTS`."""
_FLOATS = (1, 10, 11, 16)
_TRUTHS = frozenset(
    ["And", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "Or"]
)


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


def check_divisions(tensors: Iterable[Tensor], nodes: Iterable[Node]) -> None:
    """Check that whole numbers are divided by positive constants alone.

    Division by zero, or of the least number by -1, ends the process in the processor itself.

    Raises:
        Damaged: One is divided by something else.
    """
    constants = {tensor.name: tensor for tensor in tensors}
    element = {tensor.name: tensor.element for tensor in constants.values()}
    for node in nodes:
        if node.operator == "Constant" and node.constant:
            constants.update((name, node.constant) for name in node.makes)
        if node.operator == "Div" and element.get("".join(node.takes[:1])) not in _FLOATS:
            divisor = constants.get("".join(node.takes[1:2]))
            if divisor is None or not _is_positive(divisor):
                raise Damaged("it divides whole numbers by something else than a positive constant")
        element.update((name, _element_made(node, place, element))
                       for place, name in enumerate(node.makes))  # fmt: skip


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


def _is_positive(tensor: Tensor) -> bool:
    step = _INTEGERS.get(tensor.element)
    if not step or not tensor.content:
        return False
    numbers = [
        tensor.content[start : start + step] for start in range(0, len(tensor.content), step)
    ]
    signed = tensor.element != 2
    return all(int.from_bytes(number, "little", signed=signed) > 0 for number in numbers)
