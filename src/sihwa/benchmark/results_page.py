"""The results as one HTML page that needs nothing else: no file, no network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sihwa.benchmark.charts import (
    COLOURS,
    WIDTH,
    bars,
    stage_bars,
    tail_drawing,
    throughput_drawing,
)
from sihwa.benchmark.percentiles import QUANTILES
from sihwa.benchmark.sentences import break_even, notes, verdict_line
from sihwa.storage import write_text

_STAGE_COLOURS = {
    "read": COLOURS[4],
    "decode": COLOURS[1],
    "preprocess": COLOURS[5],
    "infer": COLOURS[0],
    "decide": COLOURS[2],
}
Document = Mapping[str, Any]


def write_page(path: Path, document: Document) -> None:
    """Write the page; replaced whole, or not at all.

    Raises:
        StorageError: The file system refused.
    """
    # Jinja2 takes a tenth of a second to import
    from sihwa.reporting.template import load_template

    page = load_template("sihwa.benchmark", "benchmark.html.j2").render(**_facts_of(document))
    write_text(path, page.encode("utf-8", "backslashreplace").decode("utf-8"))


def _facts_of(document: Document) -> dict[str, Any]:
    variants = document["variants"]
    machine = document["environment"]["cpu"]["model"]
    ceilings = document["ceilings"] or {"preprocessing": []}
    prepared = {
        one["threads"]: one["p50_ms"]
        for one in ceilings["preprocessing"]
        if one and "p50_ms" in one
    }
    verdict = verdict_line(document)
    return {
        "title": f"{document['inspector']['network']} on {machine.partition(' (')[0]}",
        "document": document,
        "quantiles": [name.replace("_", ".") for name in QUANTILES],
        "headline": [verdict] if verdict else [],
        "break_even": break_even(document),
        "notes": [
            line for line in notes(document) if line != verdict and line not in break_even(document)
        ],
        "latency": [_latency_row(one) for one in variants],
        "width": WIDTH,
        "tail": tail_drawing(variants),
        "throughput": throughput_drawing(variants),
        "stages": stage_bars(variants, prepared),
        "stage_colours": _STAGE_COLOURS,
        "rates": bars(document["line"]["highest_rate"], "parts/s"),
        "devices": bars(
            {
                f"{device}: {best['variant']}": best["parts_per_s"]
                for device, best in document["line"]["best_by_device"].items()
            },
            "parts/s",
        ),
        "rooflines": [_roofline_row(one) for one in variants if one["roofline"]],
        "ceilings": document["ceilings"],
        "facts": _facts(document),
    }


def _latency_row(one: Document) -> dict[str, Any]:
    return {
        "name": one["name"],
        "file": _cells(one["file_to_decision"]),
        "model": _cells(one["model"]),
        "device": _cells(one["device_part"]) if one["device_part"] else None,
        "start": f"{one['start_up']['median_s']:.2f}",
        "start_worst": f"{one['start_up']['worst_s']:.2f}",
        "memory": _whole(one["memory"]["first_decision_mib"]),
        "peak": _whole(one["memory"]["peak_mib"]),
        "device_memory": _whole(one["memory"]["device_mib"]),
        "energy": _energy(one),
    }


def _cells(figures: Document) -> list[tuple[str, str]]:
    cells = [
        (
            f"{figures[name]['value_ms']:.2f}",
            f"{figures[name]['low_ms']:.2f} – {figures[name]['high_ms']:.2f}",
        )
        for name in QUANTILES
    ]
    return [*cells, (f"{figures['worst_ms']:.2f}", "")]


def _energy(one: Document) -> str:
    best = max(one["throughput"], key=lambda point: point["images_per_s"])
    if best["joules_per_image"] is None:
        return ""
    return f"{best['joules_per_image']:.3g} J ({best['watts']:.0f} W)"


def _whole(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _roofline_row(one: Document) -> dict[str, Any]:
    return {
        "name": one["name"],
        "cells": [
            {
                "batch": reach["batch"],
                "rate": f"{reach['images_per_s']:.0f}",
                "ceiling": f"{reach['ceiling_images_per_s']:.0f}",
                "bound": reach["bound"],
                "share": f"{100 * reach['share']:.0f} %",
                "width": round(WIDTH * min(1.0, reach["share"]), 1),
            }
            for reach in (one["roofline"]["one_by_one"], one["roofline"]["best_batch"])
        ],
    }


def _facts(document: Document) -> list[tuple[str, str]]:
    environment, images = document["environment"], document["images"]
    cpu, settings = environment["cpu"], document["settings"]
    sizes = ", ".join(f"{s['width']} × {s['height']} ({s['count']})" for s in images["sizes"])
    clocks = [mhz for one in document["conditions"] for mhz in one["cpu_mhz"]]
    facts = {
        "Processor": cpu["model"],
        "Cores": f"{cpu['usable_cores']} of {cpu['cores']}",
        "Last-level cache": cpu["last_level_cache"],
        "Clock": f"{min(clocks):.0f} to {max(clocks):.0f} MHz" if clocks else None,
        "Governor": cpu["governor"],
        "Virtual machine": "yes" if cpu["is_virtual"] else "not known",
        "Memory": environment["memory_mib"] and f"{environment['memory_mib']:,} MiB",
        **{f"Device {name}": gpu["model"] for name, gpu in environment["gpus"].items()},
        "System": environment["system"],
        "Versions": ", ".join(f"{n} {v}" for n, v in environment["versions"].items() if v),
        "Inspector": f"{document['inspector']['id']}, {document['inspector']['dataset']}",
        "Work": f"{document['inspector']['gflop_per_image']:.2f} GFLOP per image",
        "Images": f"{images['count']} of {images['source']}: {sizes[:200]}",
        "Samples": f"{settings['rounds']} turns of {settings['samples']} images per variant, "
        f"after {settings['warm_up']} to warm up; nothing left out",
        "Sihwa": document["code_version"],
        "Date": document["created"],
    }
    return [(name, str(value)) for name, value in facts.items() if value]
