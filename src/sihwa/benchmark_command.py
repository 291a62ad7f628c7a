"""The command `sihwa benchmark`; `scripts/benchmark.py` is the same."""

import math
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sihwa.console import a_path, say, saying_if_possible
from sihwa.errors import ConfigError

__all__ = ["benchmark"]

_ROUNDS = 20


_Inspector = Annotated[
    Path,
    typer.Argument(
        parser=a_path,
        metavar="INSPECTOR",
        help="Inspector folder, or its .onnx file.",
        show_default=False,
    ),
]
_Devices = Annotated[str, typer.Option(help="cpu, cuda, cuda:1; several with commas.")]
_Runtimes = Annotated[
    str, typer.Option(help="openvino, onnxruntime, torch; several with commas; auto is all.")
]
_Images = Annotated[
    Path | None,
    typer.Option(
        parser=a_path,
        metavar="PATH",
        help="Pictures from the line: a folder or an archive. Without it, those kept inside.",
        show_default=False,
    ),
]
_Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        parser=a_path,
        metavar="PATH",
        help="Folder for the results.  \\[default: outputs/benchmarks/<time>]",
    ),
]
_LineRate = Annotated[
    float | None, typer.Option(help="Parts per second, for a verdict.", show_default=False)
]
_BudgetMs = Annotated[
    float | None,
    typer.Option(help="Time from picture to decision, for a verdict.", show_default=False),
]
_Samples = Annotated[
    int,
    typer.Option(
        min=1, help="Pictures timed one by one, per variant; rounded up to 20 equal turns."
    ),
]
_Threads = Annotated[str, typer.Option(help="Per inference on the CPU; 0 is all cores.")]
_Batches = Annotated[str, typer.Option(help="Batch sizes.")]
_Limit = Annotated[int, typer.Option(min=1, help="At most so many different pictures.")]
_Seed = Annotated[int, typer.Option(min=0, help="Of the order and the intervals.")]
_Ceilings = Annotated[bool, typer.Option(help="Measure what the machine could do at best, too.")]


def benchmark(
    inspector: _Inspector,
    devices: _Devices = "cpu",
    runtimes: _Runtimes = "auto",
    images: _Images = None,
    out: _Out = None,
    line_rate: _LineRate = None,
    budget_ms: _BudgetMs = None,
    samples: _Samples = 1000,
    threads: _Threads = "1,0",
    batches: _Batches = "1,4,16,64",
    limit: _Limit = 200,
    seed: _Seed = 0,
    ceilings: _Ceilings = True,
) -> None:
    """Measure on this machine how fast an inspector decides: is it enough for the line?

    Each runtime, precision and number of threads that is proven here to
    decide alike is timed, one picture at a time from file to decision, and
    in batches; run sihwa verify first. All take turns, so that whatever else
    the machine does hits all alike. Every sample counts and is kept in
    benchmark.json; beside it lie benchmark.csv and a page, benchmark.html.

    [bold]Examples[/]

    sihwa benchmark outputs/latest/inspector

    sihwa benchmark outputs/latest/inspector --images parts/ --line-rate 12 --budget-ms 80

    sihwa benchmark inspector.onnx --images parts.zip --devices cpu,cuda

    sihwa benchmark outputs/latest/inspector --runtimes onnxruntime --samples 10000
    """
    # here, for the sake of the other commands: scoring would start a third of a second later
    from sihwa.benchmark import (
        BenchmarkOptions,
        Course,
        results_table,
        run_benchmark,
        write_csv,
        write_page,
        write_results,
    )

    rounds = min(_ROUNDS, samples)
    course = Course(
        rounds=rounds,
        samples=math.ceil(samples / rounds),
        batches=_numbers("--batches", batches),
        batch_rounds=min(Course.batch_rounds, rounds),
        seed=seed,
    )
    options = BenchmarkOptions(
        devices=list(dict.fromkeys(_words(devices))),
        runtimes=list(dict.fromkeys(_words(runtimes))),
        images=images,
        limit=limit,
        threads=_numbers("--threads", threads),
        course=course,
        line_rate=line_rate,
        budget_ms=budget_ms,
        ceilings=ceilings,
    )
    folder = out or Path("outputs", "benchmarks", datetime.now().strftime("%Y-%m-%d_%H%M%S"))
    document = run_benchmark(inspector, options, folder)
    # shown first: a disk that is full by now must not cost the measurement
    with saying_if_possible():
        Console().print(results_table(document), soft_wrap=True, highlight=False)
    write_results(folder / "benchmark.json", document)
    write_csv(folder / "benchmark.csv", document["variants"])
    write_page(folder / "benchmark.html", document)
    say(f"-> {folder}")


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _numbers(name: str, text: str) -> list[int]:
    words = _words(text)
    if not words or not all(word.isdecimal() for word in words):
        raise ConfigError(f"{name} must be whole numbers with commas between, got {text!r}")
    return list(dict.fromkeys(int(word) for word in words))
