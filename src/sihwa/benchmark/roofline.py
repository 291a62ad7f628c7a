"""Which share of what the machine could do at best a variant reaches: its roofline.

Source: Williams, Waterman and Patterson 2009, "Roofline", CACM 52(4).
"""

from typing import Literal

from sihwa.benchmark.ceilings import Ceiling
from sihwa.benchmark.work import Work
from sihwa.inspector.card import Facts

_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2, "int8": 1}


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
