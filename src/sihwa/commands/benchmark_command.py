"""The command `sihwa benchmark`; `scripts/benchmark.py` is the same."""

import os
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from sihwa.errors import ConfigError, StorageError
from sihwa.terminal.console import a_path, say
from sihwa.terminal.guard import begin_work

_ROUNDS = 20
_FILES = ("benchmark.json", "benchmark.csv", "benchmark.html")


_Inspector = Annotated[
    Path,
    typer.Argument(
        parser=a_path,
        metavar="inspector",
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
        metavar="<path>",
        help="Images from the line: a folder or an archive. Without it, those kept inside.",
        show_default=False,
    ),
]
_Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        parser=a_path,
        metavar="<path>",
        help="Folder for the results.  \\[default: outputs/benchmarks/<time>]",
    ),
]
_LineRate = Annotated[
    float | None, typer.Option(help="Parts per second, for a verdict.", show_default=False)
]
_BudgetMs = Annotated[
    float | None,
    typer.Option(help="Time from image to decision, for a verdict.", show_default=False),
]
_Samples = Annotated[
    int,
    typer.Option(help="Images timed one by one, per variant; rounded up to 20 equal turns."),
]
_Threads = Annotated[str, typer.Option(help="Per inference on the CPU; 0 is all cores.")]
_Batches = Annotated[str, typer.Option(help="Batch sizes.")]
_Limit = Annotated[int, typer.Option(help="At most so many different images.")]
_Seed = Annotated[int, typer.Option(help="Of the order and the intervals.")]
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
    decide alike is timed, one image at a time from file to decision, and
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
    from sihwa.benchmark import BenchmarkOptions, Schedule, run_benchmark

    rounds = max(1, min(_ROUNDS, samples))
    course = Schedule(
        rounds=rounds,
        samples=samples,
        batches=_numbers("--batches", batches),
        batch_rounds=min(Schedule.batch_rounds, rounds),
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
    _require_no_results(folder)
    begin_work()
    document = run_benchmark(inspector, options, folder)
    _show_and_write(_without_results(folder), document)


def _require_no_results(folder: Path) -> None:
    for name in _FILES:
        if os.path.lexists(folder / name):
            raise StorageError(f"{folder / name} is there already; name another folder with --out")


def _without_results(folder: Path) -> Path:
    """Return the folder, or one beside it where another benchmark was faster to write its results.

    Minutes of measurement are not thrown away for a name.
    """
    chosen, number = folder, 1
    while any(os.path.lexists(chosen / name) for name in _FILES):
        number += 1
        chosen = folder.with_name(f"{folder.name}-{number}")
    if chosen != folder:
        say(f"{folder} holds the results of another benchmark by now")
    return chosen


def _show_and_write(folder: Path, document: dict[str, Any]) -> None:
    from sihwa.benchmark import results_table, write_csv, write_page, write_results

    # shown first: a disk that is full by now must not cost the measurement
    Console().print(results_table(document), soft_wrap=True, highlight=False)
    results, table, page = (folder / name for name in _FILES)
    write_results(results, document)
    write_csv(table, document["variants"])
    write_page(page, document)
    say(f"-> {folder}")


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _numbers(name: str, text: str) -> list[int]:
    words = _words(text)
    if not words or not all(
        word.isascii() and word.isdecimal() and len(word) < 10 for word in words
    ):
        got = repr(text if len(text) < 100 else f"{text[:100]}...")
        raise ConfigError(f"{name} must be whole numbers with commas between, got {got}")
    return list(dict.fromkeys(int(word) for word in words))
