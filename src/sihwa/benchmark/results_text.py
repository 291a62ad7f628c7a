"""The results in tables for a terminal, and in sentences: the verdict first."""

import math
from collections.abc import Iterator
from statistics import median

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sihwa.benchmark.percentiles import PERCENTS
from sihwa.benchmark.results import Results
from sihwa.benchmark.verdict import best_of

_TAIL_SAMPLES = 10_000
"""From so many on, ten samples lie above the 99.9th percentile."""


def results_table(results: Results) -> RenderableType:
    """Return latency and throughput of each variant, then the sentences."""
    first = results.variants[0]
    latency = _table(
        f"file to decision, one by one, ms ({first.file_to_decision.samples:,} images each)",
        [*PERCENTS, "worst", "model p50"],
    )
    rates = _table(
        "model alone, images per second by batch",
        [*(str(point.batch) for point in first.throughput), "start s", "MiB"],
    )
    for one in results.variants:
        figures, memory = one.file_to_decision, one.memory["first_decision_mib"]
        values = [figure.value_ms for figure in figures.percentiles.values()]
        values += [figures.worst_ms, one.model.p50.value_ms]
        latency.add_row(one.name, *(f"{value:.1f}" for value in values))
        rates.add_row(
            one.name,
            *(f"{point.images_per_s:.0f}" for point in one.throughput),
            f"{median(one.start_s):.2f}",
            "" if memory is None else f"{memory:.0f}",
        )
    return Group(latency, Text(""), rates, Text(""), *map(Text, notes(results)))


def _table(title: str, columns: list[str]) -> Table:
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def notes(results: Results) -> Iterator[str]:
    """Yield the verdict, the break-even, and the conditions under which the figures were taken."""
    yield from verdict_lines(results)
    yield from break_even(results)
    yield from caveats(results)


def caveats(results: Results) -> Iterator[str]:
    """Yield the conditions under which the figures were taken, and what was left out."""
    share = results.overhead_us / 1000 / results.fastest.model.p50.value_ms
    yield (
        f"Timing itself takes {results.overhead_us:.1f} µs an image, {share:.2%} of the fastest "
        f"model alone"
    )
    samples = results.variants[0].file_to_decision.samples
    if samples < _TAIL_SAMPLES:
        above = samples // 1000
        rests = f"rests on {above}" if above else "is hardly more than the slowest"
        yield f"p99.9 {rests} of {samples:,} images; use --samples {_TAIL_SAMPLES} for a firm one"
    loads = [one.load for one in results.conditions if one.load is not None]
    if loads:
        least, most = f"{min(loads):.1f}", f"{max(loads):.1f}"
        yield (
            f"Load {least}{f' to {most}' if most != least else ''} on "
            f"{results.environment.usable_cores} cores, this benchmark included"
        )
    for one in results.left_out:
        yield f"Not timed: {one.name}: {one.reason}"
    for one in results.ceilings.failed if results.ceilings else ():
        yield f"Ceiling not measured: {one.name}: {one.reason}"
    for line in results.images.unreadable:
        yield f"Unreadable: {line}"


def verdict_lines(results: Results) -> Iterator[str]:
    """Yield the answer for the line that was asked for, by the best variant."""
    if not results.line.verdicts:
        return
    best = best_of(results.line.verdicts)
    line = f"{_plain(best.line_rate)} parts/s within" if best.line_rate else "a decision within"
    answer = f"{best.verdict.upper()} for {line} {_plain(best.budget_ms)} ms"
    if best.keeps_up:
        left = "to spare" if best.margin >= 0 else "too much"
        yield (
            f"{answer}: 99.9 % of decisions take at most {best.response_ms:.1f} ms "
            f"({best.low_ms:.1f} to {best.high_ms:.1f}) with {best.variant}, "
            f"{abs(best.margin):.0%} of that time {left}"
        )
    else:
        how = "faster than" if best.verdict == "not enough" else "about as fast as"
        decided = at_least(best.decided_per_s)
        yield f"{answer}: parts come {how} {best.variant} decides them, {decided} a second"


def break_even(results: Results) -> Iterator[str]:
    """Yield up to how many parts a second each device is enough, the slowest first."""
    line = results.line
    within = f" within {_plain(line.budget_ms)} ms" if line.budget_ms else ""
    reached = 0.0
    for device, best in sorted(
        line.best_by_device.items(), key=lambda pair: line.highest_rate[pair[1]]
    ):
        rate = line.highest_rate[best]
        start = f"From {at_least(reached)} up" if reached else "Up"
        name = "this PC" if device == "cpu" else device
        yield (
            f"{start} to {at_least(rate)} parts/s, one by one{within}, {name} is enough ({best})"
        )
        reached = rate
    if reached:
        yield f"Above {at_least(reached)} parts/s no variant is proven fast enough"
    else:
        yield f"No variant is proven fast enough at any rate{within}"


def at_least(rate: float) -> str:
    """Return a rate in three digits or more, never rounded up: a promise must hold.

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
