"""Where a graph's convolutional backbone begins and ends: only it runs at lower precision."""

from collections.abc import Collection, Sequence
from typing import NamedTuple


class Operator(NamedTuple):
    """An operator of a graph of any library, with the values it takes and gives, by name."""

    name: str
    is_convolution: bool
    """Whether it is one, and not the one that makes the evidence map."""
    takes: Collection[str]
    gives: Collection[str]


def find_backbone(operators: Sequence[Operator]) -> set[str]:
    """Return the operators, given in topological order, from the first convolution to the last."""
    convolutions = [one for one in operators if one.is_convolution]
    after = computed_from({name for one in convolutions for name in one.gives}, operators)
    backwards = [one._replace(takes=one.gives, gives=one.takes) for one in reversed(operators)]
    before = computed_from({name for one in convolutions for name in one.takes}, backwards)
    between = [
        one for one in operators if after.intersection(one.takes) and before.intersection(one.gives)
    ]
    return {one.name for one in (*convolutions, *between)}


def computed_from(values: Collection[str], operators: Sequence[Operator]) -> set[str]:
    """Return the values and all that operators, in topological order, make of them."""
    found = set(values)
    for one in operators:
        if found.intersection(one.takes):
            found.update(one.gives)
    return found
