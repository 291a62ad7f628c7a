"""The results in sentences: the verdict first, then what is to be known of the figures."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from sihwa.benchmark.verdict import NOT_ENOUGH, Verdict, best_of

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
        f"Timing itself takes {overhead['median_us']:.1f} µs an image, {overhead['share']:.2%} of "
        f"the fastest model alone"
    )
    samples = document["variants"][0]["file_to_decision"]["samples"]
    if samples < _TAIL_SAMPLES:
        above = samples // 1000
        stands = f"stands on {above}" if above else "is hardly more than the slowest"
        firm = f"for a firm one take --samples {_TAIL_SAMPLES}"
        yield f"p99.9 {stands} of {samples:,} images: {firm}"
    loads = [one["load"] for one in document["conditions"] if one["load"] is not None]
    if loads:
        least, most = f"{min(loads):.1f}", f"{max(loads):.1f}"
        yield (
            f"Load {least}{f' to {most}' if most != least else ''} on "
            f"{document['environment']['cpu']['usable_cores']} cores, this benchmark included"
        )
    for one in document["left_out"]:
        yield f"Not timed: {one['name']}: {one['reason']}"
    for place, fault in _failed_probes(document["ceilings"] or {}):
        yield f"Ceiling not measured: {place}: {fault}"
    for line in document["images"]["unreadable"]:
        yield f"Unreadable: {line}"


def _failed_probes(ceilings: Document) -> Iterator[tuple[str, str]]:
    names = {"cpu": "processor", "preprocessing": "preprocessing"}
    for kind, name in names.items():
        for one in ceilings.get(kind, ()):
            if one and "error" in one:
                yield name, one["error"]
    for name, one in {**ceilings.get("gpus", {}), "disk": ceilings.get("disk")}.items():
        if one and "error" in one:
            yield name, one["error"]


def verdict_line(document: Document) -> str | None:
    """Return the answer for the line that was asked for, by the best variant."""
    verdicts = [Verdict(**one) for one in document["line"]["verdicts"]]
    if not verdicts:
        return None
    best = best_of(verdicts)
    line = f"{_plain(best.line_rate)} parts/s within" if best.line_rate else "a decision within"
    answer = f"{best.verdict.upper()} for {line} {_plain(best.budget_ms)} ms"
    if not best.keeps_up:
        how = "faster than" if best.verdict == NOT_ENOUGH else "about as fast as"
        decided = at_least(best.decided_per_s)
        return f"{answer}: parts come {how} {best.variant} decides them, {decided} a second"
    left = f"{abs(best.margin):.0%} of that time {'to spare' if best.margin >= 0 else 'too much'}"
    return (
        f"{answer}: 99.9 % of decisions take at most {best.response_ms:.1f} ms ({best.low_ms:.1f} "
        f"to {best.high_ms:.1f}) with {best.variant}, {left}"
    )


def break_even(document: Document) -> list[str]:
    """Return up to how many parts a second each device is enough, the slowest first."""
    line = document["line"]
    devices = sorted(line["best_by_device"].items(), key=lambda pair: pair[1]["parts_per_s"])
    within = f" within {_plain(line['budget_ms'])} ms" if line["budget_ms"] else ""
    sentences = []
    reached = 0.0
    for device, best in devices:
        start = f"From {at_least(reached)} up" if reached else "Up"
        name = "this PC" if device == "cpu" else device
        sentences.append(
            f"{start} to {at_least(best['parts_per_s'])} parts/s, one by one{within}, {name} is "
            f"enough ({best['variant']})"
        )
        reached = best["parts_per_s"]
    if reached:
        sentences.append(f"Above {at_least(reached)} parts/s no variant is sure to be enough")
    else:
        sentences.append(f"At no rate is a variant sure to be enough{within}")
    return sentences


def at_least(rate: float) -> str:
    """Return a rate in three digits or more, never rounded up: what is said must hold.

    >>> at_least(1164.9), at_least(62.49), at_least(0.8888)
    ('1,164', '62.4', '0.888')
    """
    digits = 0 if rate >= 100 else 1 if rate >= 10 else 2 if rate >= 1 else 3
    return f"{math.floor(rate * 10**digits) / 10**digits:,.{digits}f}"


def _plain(value: float) -> str:
    """Return a number as it was given, up to six digits.

    >>> _plain(80.0), _plain(12.3456), _plain(123456.0)
    ('80', '12.3456', '123,456')
    """
    return f"{value:.6g}" if value < 10_000 else f"{value:,.0f}"
