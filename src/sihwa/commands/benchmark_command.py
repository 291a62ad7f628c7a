"""The command `sihwa benchmark`; `scripts/benchmark.py` is the same."""

import math
import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from sihwa.errors import ConfigError, StorageError
from sihwa.images import MAX_PIXELS
from sihwa.terminal.console import a_path, say
from sihwa.terminal.guard import begin_work

if TYPE_CHECKING:
    from sihwa.benchmark import Results

_ROUNDS = 20
_FILES = ("benchmark.json", "benchmark.html")


def benchmark(
    inspector: Annotated[
        Path,
        typer.Argument(
            parser=a_path,
            metavar="inspector",
            help="Inspector folder, or its .onnx file; or a benchmark.json, to show it again.",
            show_default=False,
        ),
    ],
    devices: Annotated[str, typer.Option(help="cpu, cuda, cuda:1; several with commas.")] = "cpu",
    runtimes: Annotated[
        str, typer.Option(help="openvino, onnxruntime, torch; several with commas; auto is all.")
    ] = "auto",
    images: Annotated[
        Path | None,
        typer.Option(
            parser=a_path,
            metavar="<path>",
            help="Images from the line: a folder or an archive. Without it, those kept inside.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            parser=a_path,
            metavar="<path>",
            help="Folder for the results.  \\[default: outputs/benchmarks/<time>]",
        ),
    ] = None,
    line_rate: Annotated[
        float | None, typer.Option(help="Parts per second, for a verdict.", show_default=False)
    ] = None,
    budget_ms: Annotated[
        float | None,
        typer.Option(help="Time from image to decision, for a verdict.", show_default=False),
    ] = None,
    samples: Annotated[
        int,
        typer.Option(
            min=1, max=1_000_000, help="Images timed one by one, per variant; in 20 equal turns."
        ),
    ] = 1000,
    threads: Annotated[str, typer.Option(help="Per inference on the CPU; 0 is all cores.")] = "1,0",
    batches: Annotated[str, typer.Option(help="Batch sizes.")] = "1,4,16,64",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Most different images.")] = 200,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Of the order and the intervals.")
    ] = 0,
    ceilings: Annotated[
        bool, typer.Option(help="Measure what the machine could do at best, too.")
    ] = True,
    max_pixels: Annotated[
        int, typer.Option(min=1, help="Larger images are not read.")
    ] = MAX_PIXELS,
) -> None:
    """Measure on this machine how fast an inspector decides: is it enough for the line?

    Each runtime, precision and number of threads that is proven here to
    decide alike is timed, one image at a time from file to decision, and
    in batches; run sihwa verify first. All take turns, so that other load
    slows all of them alike. Every sample counts and is kept in
    benchmark.json; beside it lies a page, benchmark.html.

    [bold]Examples[/]

    sihwa benchmark outputs/latest/inspector

    sihwa benchmark outputs/latest/inspector --images parts/ --line-rate 12 --budget-ms 80

    sihwa benchmark inspector.onnx --images parts.zip --devices cpu,cuda

    sihwa benchmark outputs/latest/inspector --runtimes onnxruntime --samples 10000

    sihwa benchmark docs/benchmarks/amd-epyc-avx512-neu_det.json --out page
    """
    # here, because other commands would start a third of a second later
    from sihwa.benchmark import BenchmarkOptions, Schedule, read_results, run_benchmark

    folder = out or Path("outputs", "benchmarks", datetime.now().strftime("%Y-%m-%d_%H%M%S"))
    for name in _FILES:
        if os.path.lexists(folder / name):
            raise StorageError(f"{folder / name} exists; name another folder with --out")
    if inspector.suffix == ".json":
        _show_and_write(folder, read_results(inspector))
        return
    rounds = min(_ROUNDS, samples)
    options = BenchmarkOptions(
        devices=_words(devices),
        runtimes=_words(runtimes),
        images=images,
        limit=limit,
        threads=_numbers("--threads", threads),
        schedule=Schedule(
            rounds=rounds,
            samples_per_turn=math.ceil(samples / rounds),
            batches=tuple(_numbers("--batches", batches)),
            batch_rounds=min(Schedule().batch_rounds, rounds),
            seed=seed,
        ),
        line_rate=line_rate,
        budget_ms=budget_ms,
        ceilings=ceilings,
        max_pixels=max_pixels,
    )
    begin_work()
    _show_and_write(folder, run_benchmark(inspector, options, folder))


def _show_and_write(folder: Path, results: "Results") -> None:
    from sihwa.benchmark import results_table, write_page, write_results

    # shown first: a disk that is full by now must not cost the measurement
    Console().print(results_table(results), soft_wrap=True, highlight=False)
    data, page = (folder / name for name in _FILES)
    write_results(data, results)
    write_page(page, results)
    say(f"-> {folder}")


def _words(text: str) -> list[str]:
    """Return the different words between commas, in order."""
    return list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _numbers(name: str, text: str) -> list[int]:
    words = _words(text)
    if not words or not all(
        word.isascii() and word.isdecimal() and len(word) < 10 for word in words
    ):
        got = repr(text if len(text) < 100 else f"{text[:100]}...")
        raise ConfigError(f"{name} must be whole numbers with commas between, got {got}")
    return list(dict.fromkeys(int(word) for word in words))
