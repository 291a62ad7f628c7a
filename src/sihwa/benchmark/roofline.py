"""Which share of what the machine could do at best a variant reaches: its roofline.

Source: Williams, Waterman and Patterson 2009, "Roofline", CACM 52(4).
"""

from typing import Any

from sihwa.benchmark.work import Work

_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2, "int8": 1}
Document = dict[str, Any]


def roofline_share(variant: Document, work: Work, ceilings: Document) -> Document | None:
    """Return what one variant reaches, one by one and in its best batch; None without ceilings.

    The ceiling is the lower of two: products at the machine's measured peak in that precision, and
    memory that moves each weight once a batch, each image and its outputs once. What a network
    moves between its layers is not counted, as a good runtime keeps it in caches: the ceiling is
    the highest that can be defended, and the share the lowest.

    Args:
        variant: As in the results.
        work: Of one image.
        ceilings: Of this machine, as in the results.
    """
    found = _ceiling_of(variant, ceilings)
    peak = found.get("gflop_per_s", {}).get(variant["precision"])
    if peak is None:
        return None
    weight_bytes = work.weights * _BYTES[variant["precision"]]

    def share(batch: int, images_per_s: float) -> Document:
        moved = weight_bytes / batch + work.image_bytes
        by_memory = found["memory_gb_per_s"] * 1e9 / moved
        by_products = peak * 1e9 / work.flop
        ceiling = min(by_memory, by_products)
        return {
            "batch": batch,
            "images_per_s": images_per_s,
            "ceiling_images_per_s": ceiling,
            "bound": "products" if by_products <= by_memory else "memory",
            "gflop_per_s": images_per_s * work.flop / 1e9,
            "flop_per_byte": work.flop / moved,
            "share": images_per_s / ceiling,
        }

    best = max(variant["throughput"], key=lambda one: one["images_per_s"])
    return {
        "one_by_one": share(1, 1000 / variant["model"]["p50"]["value_ms"]),
        "best_batch": share(best["batch"], best["images_per_s"]),
    }


def _ceiling_of(variant: Document, ceilings: Document) -> Document:
    if variant["device"] != "cpu":
        found: Document = ceilings["gpus"].get(variant["device"], {})
        return found
    same = (one for one in ceilings["cpu"] if one["threads"] == variant["threads"])
    return next(same, {})
