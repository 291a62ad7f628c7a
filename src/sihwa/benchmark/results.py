"""What was measured, as the JSON that `benchmark.schema.json` describes, and as a table in CSV."""

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np

from sihwa.benchmark.percentiles import QUANTILES, bootstrap_interval, summarise
from sihwa.benchmark.race import Measured
from sihwa.benchmark.timing import STAGES
from sihwa.storage import write_text

FORMAT = "sihwa-benchmark"
FORMAT_VERSION = 1
Document = dict[str, Any]


@cache
def benchmark_schema() -> Document:
    """Return the JSON schema of the results."""
    text = files("sihwa.benchmark").joinpath("benchmark.schema.json").read_text("utf-8")
    schema: Document = json.loads(text)
    return schema


def variant_results(measured: Measured, seed: int) -> Document:
    """Return all that was measured of one variant, raw samples included."""
    variant = measured.variant
    return {
        "name": str(variant),
        "runtime": variant.choice.runtime,
        "device": variant.choice.device,
        "precision": variant.choice.precision,
        "threads": variant.threads,
        "start_up": {
            "median_s": float(np.median(measured.start_s)),
            "worst_s": max(measured.start_s),
            "samples_s": measured.start_s,
        },
        "memory": {
            "first_decision_mib": measured.memory["first_mib"],
            "peak_mib": measured.memory["all_mib"],
            "device_mib": measured.device_mib,
        },
        "file_to_decision": summarise(measured.whole, seed),
        "stages": {name: summarise(turns, seed) for name, turns in measured.files.items()},
        "model": summarise(measured.model, seed),
        "device_part": summarise(measured.device, seed) if measured.device else None,
        "throughput": [_throughput(size, turns, seed) for size, turns in measured.batches.items()],
        "raw_ns": {
            "file_to_decision": measured.files,
            "model": measured.model,
            "device_part": measured.device,
        },
    }


def _throughput(size: int, turns: Sequence[Mapping[str, Any]], seed: int) -> Document:
    rates = np.array([turn["images"] / (turn["ns"] / 1e9) for turn in turns])
    low, high = bootstrap_interval(rates[:, None], [50.0], seed)[:, 0]
    joules = [turn["joules"] for turn in turns]
    told = [value for value in joules if value is not None]
    energy = None
    if len(told) == len(turns) and sum(told) > 0:
        energy = sum(told) / sum(turn["images"] for turn in turns)
    return {
        "batch": size,
        "images_per_s": float(np.median(rates)),
        "low": float(low),
        "high": float(high),
        "joules_per_image": energy,
        "watts": None if energy is None else sum(told) / sum(turn["ns"] / 1e9 for turn in turns),
        "turns": list(turns),
    }


def overhead_of(measured: Sequence[Measured]) -> Document:
    """Return what the tool itself adds to an image, against the fastest variant's model alone."""
    fastest = min(measured, key=lambda one: float(np.median(one.model)))
    fastest_ns = float(np.median(fastest.model))
    overhead_ns = float(np.median([span for one in measured for t in one.overhead for span in t]))
    return {
        "median_us": overhead_ns / 1000,
        "fastest": str(fastest.variant),
        "fastest_p50_ms": fastest_ns / 1e6,
        "share": overhead_ns / fastest_ns,
    }


def write_results(path: Path, document: Document) -> None:
    """Check the results by their schema and write them, each list of numbers on one line.

    Raises:
        StorageError: The disk refuses.
    """
    jsonschema.validate(document, benchmark_schema())
    text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)
    write_text(path, re.sub(r"\[\n[\d\s.,e+-]+\]", lambda found: _one_line(found[0]), text) + "\n")


def _one_line(numbers: str) -> str:
    return "".join(numbers.split())


def write_csv(path: Path, variants: Sequence[Document]) -> None:
    """Write one row per variant, with one column per figure.

    Raises:
        StorageError: The disk refuses.
    """
    rows = [_row(one) for one in variants]
    names = list(dict.fromkeys(name for row in rows for name in row))
    stream = io.StringIO()
    table = csv.DictWriter(stream, names, restval="", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_text(path, stream.getvalue())


def _row(one: Document) -> Document:
    row = {name: one[name] for name in ("runtime", "device", "precision", "threads")}
    for kind, prefix in (("file_to_decision", "file"), ("model", "model")):
        figures = one[kind]
        row[f"{prefix}_samples"] = figures["samples"]
        for name in QUANTILES:
            row |= {f"{prefix}_{name}_{part}": value for part, value in figures[name].items()}
        row[f"{prefix}_worst_ms"] = figures["worst_ms"]
    row |= {f"{stage}_p50_ms": one["stages"][stage]["p50"]["value_ms"] for stage in STAGES}
    row["start_up_s"] = one["start_up"]["median_s"]
    row |= one["memory"]
    for point in one["throughput"]:
        row[f"images_per_s_{point['batch']}"] = point["images_per_s"]
    best = max(one["throughput"], key=lambda point: point["images_per_s"], default=None)
    row["joules_per_image"] = best and best["joules_per_image"]
    return row
