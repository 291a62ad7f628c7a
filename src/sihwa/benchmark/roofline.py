"""Which share of what the machine could do at best a variant reaches: its roofline.

What an inspector computes and moves for one image is counted from its graph.

Source: Williams, Waterman and Patterson 2009, "Roofline", CACM 52(4).
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

from sihwa.benchmark.ceilings import Ceiling, is_convolution
from sihwa.inspector import Bundle
from sihwa.inspector.strict_json import Facts

_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2, "int8": 1}


@dataclass(frozen=True)
class Work:
    """What one image takes."""

    flop: int
    preprocess_flop: int  # those before the first convolution
    weights: int  # numbers that all images share
    image_bytes: int  # of the image and of all outputs together


class Reach(Facts, frozen=True):
    """Images per second in one batch size, against the ceiling."""

    batch: int
    images_per_s: float
    ceiling_images_per_s: float
    bound: Literal["products", "memory"]
    gflop_per_s: float
    flop_per_byte: float
    share: float


def reach_of(
    work: Work, precision: str, ceiling: Ceiling, batch: int, images_per_s: float
) -> Reach:
    """Return the share of its ceiling that a variant reaches in one batch size.

    The ceiling is the lower of two: products at the machine's measured peak in that precision, and
    memory that moves each weight once a batch, each image and its outputs once. What layers hand
    to each other is not counted, as a good runtime keeps it in caches: so the ceiling is the
    highest that can be defended, and the share the lowest.
    """
    moved = work.weights * _BYTES[precision] / batch + work.image_bytes
    by_memory = ceiling.memory_gb_per_s * 1e9 / moved
    by_products = ceiling.gflop_per_s[precision] * 1e9 / work.flop
    highest = min(by_memory, by_products)
    return Reach(
        batch=batch,
        images_per_s=images_per_s,
        ceiling_images_per_s=highest,
        bound="products" if by_products <= by_memory else "memory",
        gflop_per_s=images_per_s * work.flop / 1e9,
        flop_per_byte=work.flop / moved,
        share=images_per_s / highest,
    )


def count_work(bundle: Bundle, height: int, width: int) -> Work:
    """Count the work that the graph does for one image of height × width pixels.

    Only products count, two operations each multiply-add: they are nearly all there is, and it
    is what a processor's peak counts.
    """
    import openvino

    model = openvino.Core().read_model(bundle.graph)
    model.reshape({"image": [1, height, width, 3]})
    nodes = model.get_ordered_ops()
    first = next((at for at, node in enumerate(nodes) if is_convolution(node)), 0)
    constants = [node for node in nodes if node.get_type_name() == "Constant"]
    edges = [model.input(0), *model.outputs]
    return Work(
        flop=sum(map(_flop, nodes)),
        preprocess_flop=sum(map(_flop, nodes[:first])),
        weights=sum(math.prod(node.get_output_shape(0)) for node in constants),
        image_bytes=sum(math.prod(p.get_shape()) * p.get_element_type().size for p in edges),
    )


def _flop(node: Any) -> int:  # noqa: ANN401 -- openvino has no types
    """Return twice the multiply-adds of a convolution or a matrix product, else 0."""
    if is_convolution(node):
        weight = node.get_input_shape(1)
        # (G, O, I, h, w) with groups, (O, I, h, w) without: I × h × w for each output
        return 2 * int(math.prod(node.get_output_shape(0)) * math.prod(weight[-3:]))
    if node.get_type_name() == "MatMul":
        shape = node.get_input_shape(0)
        inner = shape[-2 if node.get_attributes().get("transpose_a") else -1]
        return 2 * int(math.prod(node.get_output_shape(0)) * inner)
    return 0
