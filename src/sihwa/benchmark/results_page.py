"""The results as one HTML page that needs no other file and no network."""

from pathlib import Path
from statistics import median
from typing import Any

from sihwa.benchmark.charts import (
    COLOURS,
    WIDTH,
    bars,
    stage_bars,
    tail_drawing,
    throughput_drawing,
)
from sihwa.benchmark.percentiles import PERCENTS, Latency
from sihwa.benchmark.results import Results, VariantResult
from sihwa.benchmark.results_text import break_even, caveats, verdict_lines
from sihwa.storage import write_text

_STAGE_COLOURS = {
    "read": COLOURS[4],
    "decode": COLOURS[1],
    "preprocess": COLOURS[5],
    "infer": COLOURS[0],
    "decide": COLOURS[2],
}


def write_page(path: Path, results: Results) -> None:
    """Write the page, whole or not at all.

    Raises:
        StorageError: The file system refused.
    """
    # Jinja2 takes a tenth of a second to import
    from sihwa.reporting.template import render_template

    ceilings, line = results.ceilings, results.line
    prepared = {one.threads: one.preprocessing_ms for one in (ceilings.cpu if ceilings else ())}
    best = {f"{device}: {n}": line.highest_rate[n] for device, n in line.best_by_device.items()}
    machine = results.environment.processor.partition(" (")[0]
    page = render_template(
        "sihwa.benchmark",
        "benchmark.html.j2",
        title=f"{results.inspector.network} on {machine}",
        results=results,
        percentiles=[*PERCENTS],
        headline=[*verdict_lines(results)],
        break_even=[*break_even(results)],
        notes=[*caveats(results)],
        latency=[_latency_row(one) for one in results.variants],
        width=WIDTH,
        tail=tail_drawing(results.variants),
        throughput=throughput_drawing(results.variants),
        stages=stage_bars(results.variants, prepared),
        stage_colours=_STAGE_COLOURS,
        rates=bars(line.highest_rate, "parts/s"),
        devices=bars(best, "parts/s"),
        facts=_facts(results),
    )
    write_text(path, page)


def _latency_row(one: VariantResult) -> dict[str, Any]:
    best = one.best_batch
    energy = ""
    if best.joules_per_image is not None:
        energy = f"{best.joules_per_image:.3g} J ({best.watts:.0f} W)"
    memory = (one.memory[name] for name in ("first_decision_mib", "peak_mib", "device_mib"))
    return {
        "name": one.name,
        "file": _cells(one.file_to_decision),
        "model": _cells(one.model),
        "device": _cells(one.device_part) if one.device_part else None,
        "resources": [
            f"{median(one.start_s):.2f}",
            f"{max(one.start_s):.2f}",
            *("" if value is None else f"{value:,.0f}" for value in memory),
            energy,
        ],
    }


def _cells(figures: Latency) -> list[tuple[str, str]]:
    cells = [
        (f"{one.value_ms:.2f}", f"{one.low_ms:.2f} – {one.high_ms:.2f}")
        for one in figures.percentiles.values()
    ]
    return [*cells, (f"{figures.worst_ms:.2f}", "")]


def _facts(results: Results) -> list[tuple[str, str]]:
    environment, images, settings = (results.environment, results.images, results.settings)
    sizes = ", ".join(f"{size.width} × {size.height} ({size.count})" for size in images.sizes)
    clocks = [mhz for one in results.conditions for mhz in one.cpu_mhz]
    facts = {
        "Processor": environment.processor,
        "Cores": f"{environment.usable_cores} of {environment.cores}",
        "Last-level cache": environment.last_level_cache,
        "Clock": f"{min(clocks)} to {max(clocks)} MHz" if clocks else None,
        "Governor": environment.governor,
        "Virtual machine": "yes" if environment.is_virtual else "not known",
        "Memory": environment.memory_mib and f"{environment.memory_mib:,} MiB",
        **{f"Device {name}": model for name, model in environment.gpus.items()},
        "System": environment.system,
        "Versions": ", ".join(f"{n} {v}" for n, v in environment.versions.items() if v),
        "Inspector": f"{results.inspector.id}, {results.inspector.dataset}",
        "Work": f"{results.inspector.gflop_per_image:.2f} GFLOP per image",
        "Images": f"{images.count} of {images.source}: {sizes[:200]}",
        "Samples": f"{settings.rounds} turns of {settings.samples_per_turn} images per variant, "
        f"after {settings.warm_up} to warm up; nothing left out",
        "Sihwa": results.code_version,
        "Date": results.created,
    }
    return [(name, str(value)) for name, value in facts.items() if value]
