"""Does a graph take and give what the card says? First as declared, then as run.

Axes: N images, H and W picture size, K classes, h and w evidence-map size, D embedding width.
"""

from math import prod

import numpy as np

from sihwa.errors import InvalidInspector
from sihwa.inspector.card import Card
from sihwa.inspector.graph_file import GraphFile, Port
from sihwa.inspector.runtime import Outputs, Runtime
from sihwa.inspector.runtime.registry import one_line

__all__ = ["check_signature", "try_out"]

_MAX_EVIDENCE = 2**24  # numbers per picture, 64 MiB; a 7 × 7 map of 1,000 classes has 49,000
_TRIAL = (2, 5, 7)  # N, H, W: small, odd, and all different


def check_signature(card: Card, file: GraphFile, where: str) -> None:
    """Check the declared inputs and outputs: names, element types, axes.

    Args:
        card: Gives K and D, and the input size that h and w cannot exceed.
        file: What the graph declares.
        where: Its file, for messages.

    Raises:
        InvalidInspector: With what was expected and what is declared.
    """
    evidence = file.outputs.get("evidence", Port("float32", ()))
    _compare(file.inputs, {"image": Port("uint8", (None, None, None, 3))}, where)
    _compare(file.outputs, _expected_outputs(card, None, evidence), where)
    _check_map(card, evidence, where)


def try_out(card: Card, runtime: Runtime) -> None:
    """Run two tiny pictures and check the shapes that really come out.

    What a graph declares is a claim: runtimes do not hold it to that.

    Raises:
        InvalidInspector: It does not run, or gives other shapes than the card says.
    """
    try:
        outputs = runtime.run(np.zeros((*_TRIAL, 3), np.uint8))
    except Exception as error:  # each library raises its own kinds
        raise InvalidInspector(
            f"{runtime.choice.runtime} cannot run the graph on a picture of {_TRIAL[1]} × "
            f"{_TRIAL[2]} pixels: {one_line(error)}. Export the inspector again"
        ) from error
    given = {
        name: Port(str(value.dtype), value.shape)
        for name, value in zip(Outputs._fields, outputs, strict=True)
    }
    where = f"the graph, run by {runtime.choice.runtime}"
    _compare(given, _expected_outputs(card, _TRIAL[0], given["evidence"]), where)
    _check_map(card, given["evidence"], where)


def _expected_outputs(card: Card, count: int | None, evidence: Port) -> dict[str, Port]:
    classes = len(card.classes)
    return {
        "probability": Port("float32", (count, classes)),
        "evidence": Port("float32", (count, classes, *evidence.shape[2:])),
        "embedding": Port("float32", (count, card.network["embedding_width"])),
        "unknown": Port("float32", (count,)),
    }


def _compare(given: dict[str, Port], expected: dict[str, Port], where: str) -> None:
    if given.keys() != expected.keys():
        names = repr(sorted(given))[:200]
        raise InvalidInspector(f"{where}: expected {sorted(expected)} of the graph, found {names}")
    for name, port in expected.items():
        if given[name] != port:
            raise InvalidInspector(
                f"{where}: {name} must be {port} for the card's classes and network; the graph "
                f"has {given[name]!s:.120}. Export the inspector again"
            )


def _check_map(card: Card, evidence: Port, where: str) -> None:
    """Check that the evidence map is no larger than the network's input, nor than memory bears."""
    side = card.network["input_size"]
    sizes = [0 if axis is None else axis for axis in evidence.shape[2:]]
    if len(sizes) != 2 or not all(1 <= size <= side for size in sizes):
        raise InvalidInspector(
            f"{where}: evidence must be a map of at most {side} × {side}, the card's input size; "
            f"the graph has {evidence!s:.120}. Export the inspector again"
        )
    if prod(sizes) * len(card.classes) > _MAX_EVIDENCE:
        raise InvalidInspector(
            f"{where}: evidence {evidence} would take more than {_MAX_EVIDENCE} numbers per picture"
        )
