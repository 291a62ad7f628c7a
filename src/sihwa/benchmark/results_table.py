"""The results as tables for a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sihwa.benchmark.percentiles import QUANTILES
from sihwa.benchmark.sentences import notes

Document = Mapping[str, Any]


def results_table(document: Document) -> RenderableType:
    """Return latency and throughput of each variant, then what is to be known of them."""
    lines = [Text(line) for line in notes(document)]
    return Group(_latency(document), Text(""), _rates(document), Text(""), *lines)


def _latency(document: Document) -> Table:
    samples = document["variants"][0]["file_to_decision"]["samples"]
    table = Table(
        title=f"file to decision, one by one, ms ({samples:,} images each)",
        title_justify="left",
        box=None,
        padding=(0, 2, 0, 0),
    )
    table.add_column("")
    for name in (*(quantile.replace("_", ".") for quantile in QUANTILES), "worst", "model p50"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in document["variants"]:
        figures = one["file_to_decision"]
        cells = [f"{figures[name]['value_ms']:.1f}" for name in QUANTILES]
        model = one["model"]["p50"]["value_ms"]
        table.add_row(one["name"], *cells, f"{figures['worst_ms']:.1f}", f"{model:.1f}")
    return table


def _rates(document: Document) -> Table:
    table = Table(
        title="model alone, images per second by batch",
        title_justify="left",
        box=None,
        padding=(0, 2, 0, 0),
    )
    table.add_column("")
    batches = [point["batch"] for point in document["variants"][0]["throughput"]]
    for name in (*map(str, batches), "start s", "MiB"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in document["variants"]:
        rates = [f"{point['images_per_s']:.0f}" for point in one["throughput"]]
        memory = one["memory"]["first_decision_mib"]
        started = f"{one['start_up']['median_s']:.2f}"
        table.add_row(one["name"], *rates, started, "" if memory is None else f"{memory:.0f}")
    return table
