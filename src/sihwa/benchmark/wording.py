"""The results in sentences: the verdict first, then what is to be known of the figures."""

from collections.abc import Iterator, Mapping
from typing import Any

from sihwa.benchmark.verdict import ENOUGH, NOT_ENOUGH

__all__ = ["break_even", "notes", "verdict_line"]

Document = Mapping[str, Any]
_TAIL_SAMPLES = 10_000
"""From so many on, ten samples lie above the 99.9th percentile."""


def notes(document: Document) -> Iterator[str]:
    """Yield the verdict, the break-even, and the conditions under which the figures were taken."""
    verdict = verdict_line(document)
    if verdict:
        yield verdict
    yield from break_even(document)
    overhead = document["overhead"]
    yield (
        f"Timing itself takes {overhead['median_us']:.1f} µs a picture, {overhead['share']:.2%} of "
        f"the fastest model alone"
    )
    samples = document["variants"][0]["file_to_decision"]["samples"]
    if samples < _TAIL_SAMPLES:
        yield (
            f"p99.9 stands on {max(1, samples // 1000)} of {samples:,} pictures: for a firm one "
            f"take --samples {_TAIL_SAMPLES}"
        )
    loads = [one["load"] for one in document["conditions"] if one["load"] is not None]
    if loads:
        yield (
            f"Load {min(loads):.1f} to {max(loads):.1f} on "
            f"{document['environment']['cpu']['usable_cores']} cores, this benchmark included"
        )
    for one in document["left_out"]:
        yield f"Not timed: {one['name']}: {one['reason']}"
    for line in document["pictures"]["unreadable"]:
        yield f"Unreadable: {line}"


def verdict_line(document: Document) -> str | None:
    """Return the answer for the line that was asked for, by the variant with the best margin."""
    verdicts = document["line"]["verdicts"]
    if not verdicts:
        return None
    best = max(verdicts, key=lambda one: one["margin"])
    rate = best["line_rate"]
    line = f"{rate:g} parts/s within" if rate else "a decision within"
    sign = {ENOUGH: "ENOUGH", NOT_ENOUGH: "NOT ENOUGH"}.get(best["verdict"], "TOO CLOSE TO TELL")
    left = f"{abs(best['margin']):.0%} of it {'to spare' if best['margin'] >= 0 else 'too much'}"
    return (
        f"{sign} for {line} {best['budget_ms']:.4g} ms: 99.9 % of decisions take at most "
        f"{best['response_ms']:.1f} ms ({best['low_ms']:.1f} to {best['high_ms']:.1f}) with "
        f"{best['variant']}, {left}"
    )


def break_even(document: Document) -> list[str]:
    """Return up to how many parts a second each device is enough, the slowest first."""
    line = document["line"]
    devices = sorted(line["best_by_device"].items(), key=lambda pair: pair[1]["parts_per_s"])
    within = f" within {line['budget_ms']:g} ms" if line["budget_ms"] else ""
    sentences = []
    reached = 0.0
    for device, best in devices:
        start = f"From {reached:.3g} up" if reached else "Up"
        name = "this PC" if device == "cpu" else device
        sentences.append(
            f"{start} to {best['parts_per_s']:.3g} parts/s, one by one{within}, {name} is "
            f"enough ({best['variant']})"
        )
        reached = best["parts_per_s"]
    if reached:
        sentences.append(f"Above {reached:.3g} parts/s this machine is not enough")
    return sentences
