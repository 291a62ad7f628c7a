"""Does a graph take and give what the card says? First as declared, then as run.

Axes: N images, H and W image size, K classes, h and w evidence-map size, D embedding width.
"""

from math import prod

import numpy as np
from numpy.typing import NDArray

from sihwa.errors import InvalidInspector, ShapeError
from sihwa.inspector.card import Card
from sihwa.inspector.graph_file import Port, Ports
from sihwa.inspector.runtime.interface import Outputs, Runtime, one_line

MAX_SIDE = 65_535
"""Pixels; the graph computes positions in float32."""

_MAX_EVIDENCE = 2**24  # numbers per image, 64 MiB; a 7 × 7 map of 1,000 classes has 49,000
_MAX_CELLS = 2**16  # of one map; the box around its peak is sought cell by cell
_TRIAL = (2, 5, 7)  # N, H, W: small, odd, and all different


def check_signature(card: Card, ports: Ports, where: str) -> None:
    """Check the declared inputs and outputs: names, element types, axes."""
    evidence = ports.outputs.get("evidence", Port("float32", ()))
    _compare(ports.inputs, {"image": Port("uint8", (None, None, None, 3))}, where)
    _compare(ports.outputs, _expected_outputs(card, None, evidence), where)
    _check_map(card, evidence, where)


def try_out(card: Card, runtime: Runtime) -> None:
    """Run two tiny images and check the shapes that really come out."""
    run_checked(card, runtime, np.zeros((*_TRIAL, 3), np.uint8))


def run_checked(card: Card, runtime: Runtime, image: NDArray[np.uint8]) -> Outputs:
    """Run images of one size, (N, H, W, 3), uint8 RGB, and check what comes out.

    What a graph declares is a claim: runtimes do not hold it to that, and it may keep to it at
    one size and not at another.

    Raises:
        ShapeError: They are not (N, H, W, 3) uint8, empty, or a side is longer than the graph can
            count.
        InvalidInspector: It does not run, or gives other shapes than the card says.
    """
    if image.dtype != np.uint8 or image.ndim != 4 or image.shape[3] != 3 or not image.size:
        raise ShapeError(
            f"images must be (N, H, W, 3) uint8 RGB but got {image.shape} {image.dtype}"
        )
    count, height, width, _ = image.shape
    if max(height, width) > MAX_SIDE:
        raise ShapeError(f"a side may have {MAX_SIDE} pixels, the image is {width} × {height}")
    try:
        outputs = runtime.run(image)
    except Exception as error:  # each library raises its own kinds
        raise InvalidInspector(
            f"{runtime.choice.runtime} cannot run the graph on {count} images of {width} × "
            f"{height} pixels: {one_line(error) or type(error).__name__}"
        ) from error
    given = {
        name: Port(str(value.dtype), value.shape)
        for name, value in zip(Outputs._fields, outputs, strict=True)
    }
    where = f"the graph, run by {runtime.choice.runtime}"
    _compare(given, _expected_outputs(card, count, given["evidence"]), where)
    _check_map(card, given["evidence"], where)
    return outputs


def _expected_outputs(card: Card, count: int | None, evidence: Port) -> dict[str, Port]:
    classes = len(card.classes)
    return {
        "probability": Port("float32", (count, classes)),
        "evidence": Port("float32", (count, classes, *evidence.shape[2:])),
        "embedding": Port("float32", (count, card.network.embedding_width)),
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
    """Check that the evidence map is no larger than the network's input, and fits in memory."""
    facts = card.network
    most = [side * tiles for side, tiles in zip(facts.input_sides, facts.tiles, strict=True)]
    sizes = [0 if axis is None else axis for axis in evidence.shape[2:]]
    fits = len(sizes) == 2 and all(
        1 <= size <= side for size, side in zip(sizes, most, strict=True)
    )
    if not fits or prod(sizes) > _MAX_CELLS:
        raise InvalidInspector(
            f"{where}: evidence must be a map of at most {most[0]} × {most[1]}, the card's input "
            f"size times its tiles, and {_MAX_CELLS} cells; the graph has {evidence!s:.120}. "
            "Export the inspector again"
        )
    if prod(sizes) * len(card.classes) > _MAX_EVIDENCE:
        raise InvalidInspector(
            f"{where}: evidence {evidence} would take more than {_MAX_EVIDENCE} numbers per image"
        )
