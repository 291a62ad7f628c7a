"""The command `sihwa score`; `scripts/score.py` is the same."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from sihwa.console import EXIT_INTERRUPTED
from sihwa.images import MAX_PIXELS
from sihwa.inspector import load_inspector
from sihwa.scoring import (
    BATCH_SIZE,
    ReadOptions,
    ScoreOptions,
    ScoreSummary,
    Sources,
    available_cores,
    score_sources,
)

__all__ = ["score"]

EXIT_TERMINATED = 143


def score(
    inspector: Annotated[
        Path, typer.Argument(help="Inspector folder, or its .onnx file.", show_default=False)
    ],
    source: Annotated[
        list[str],
        typer.Argument(
            help="Folders (with all below), 'globs' in quotes, files, .zip, .tar, lists of paths "
            "(.txt) or tables with a column path (.csv, .parquet).",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="A .csv or .jsonl file, or a folder of Parquet parts."),
    ],
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a table that is there.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Then score files as they arrive, until stopped.")
    ] = False,
    evidence: Annotated[
        Path | None,
        typer.Option(help="Folder for heat maps over the pictures.", show_default=False),
    ] = None,
    evidence_of: Annotated[
        list[str] | None,
        typer.Option(help="accept, reject, review or all; may be repeated.  [default: all]"),
    ] = None,
    pages: Annotated[
        str, typer.Option(help="A TIFF of several pages: rows (one each) or error.")
    ] = "rows",
    max_pixels: Annotated[
        int, typer.Option(help="Larger pictures are not decoded but sent to review.")
    ] = MAX_PIXELS,
    workers: Annotated[int, typer.Option(help="Threads; 0 is one per core.")] = 0,
    batch_size: Annotated[int, typer.Option(help="Most pictures per inference.")] = BATCH_SIZE,
    runtime: Annotated[str, typer.Option(help="auto, onnxruntime, openvino or torch.")] = "auto",
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16, fp16 or int8.")] = "auto",
) -> None:
    """Score pictures: one row per picture, whatever the picture.

    What cannot be read gets a row, too: decision review, with the error. A run that was stopped,
    killed or ran out of disk goes on with --resume. docs/row-contract.md says what a row holds.

    [bold]Examples[/]

    sihwa score outputs/latest/inspector parts/ --out scores.csv

    sihwa score inspector.onnx shift-3.zip 'line-[12]/**/*.png' --out scores --resume

    sihwa score inspector.onnx parts/ -o scores --evidence maps/ --evidence-of reject

    sihwa score inspector.onnx /mnt/camera --out today.jsonl --resume --watch
    """
    # what can be refused is refused before the inspector is loaded
    options = ScoreOptions(
        read=ReadOptions(max_pixels, pages),  # type: ignore[arg-type]  # it checks the word itself
        workers=workers,
        batch_size=batch_size,
        resume=resume,
        watch=watch,
        evidence=evidence,
        evidence_of=evidence_of or ("all",),
    )
    Sources(source)
    cores = available_cores()
    loaded = load_inspector(
        inspector,
        runtime=runtime,
        device=device,
        precision=precision,
        threads=max(1, cores // (workers or cores)),
        batch_size=batch_size,
    )
    console = Console(stderr=True)
    console.print(
        f"inspector {loaded.card.id}, {loaded.explanation}", highlight=False, soft_wrap=True
    )
    with _stop_on_signals() as (stop, received):
        summary = score_sources(loaded, source, out, options, stop)
    _print_summary(summary, out)
    if summary.stopped and not watch:
        console.print("stopped: all rows so far are written; go on with --resume")
        raise typer.Exit(EXIT_TERMINATED if signal.SIGTERM in received else EXIT_INTERRUPTED)


@contextmanager
def _stop_on_signals() -> Iterator[tuple[Event, list[int]]]:
    """Yield an event that SIGINT or SIGTERM sets, and what came; the second one interrupts."""
    stop, received = Event(), list[int]()

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        if received:
            raise KeyboardInterrupt
        received.append(number)
        stop.set()

    old = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop, received
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _print_summary(summary: ScoreSummary, out: Path) -> None:
    table = Table("", "pictures", box=None, padding=(0, 2, 0, 0))
    counts = (summary.decisions, summary.classes, summary.errors)
    for name, count in (pair for kind in counts for pair in sorted(kind.items())):
        table.add_row(name, f"{count:,}")
    console = Console()
    console.print(table)
    for line in _notes(summary, out):
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _notes(summary: ScoreSummary, out: Path) -> Iterator[str]:
    rate = summary.new_images / max(summary.seconds, 1e-9)
    before = summary.images - summary.new_images
    yield (
        f"{summary.new_images} rows in {summary.seconds:.1f} s ({rate:,.0f} images/s), "
        f"{summary.review_rate:.1%} to review -> {out}"
        + (f"; {before} rows were there" if before else "")
    )
    for count, text in (
        (summary.changed, "files had changed since their row and were scored again"),
        (summary.gone, "files that have a row are no longer there"),
        (summary.listed_twice, "files were named twice; they have one row"),
        (summary.left_out["other"], "other files were no pictures"),
        (summary.left_out["folder link"], "links to folders were not followed"),
        (summary.left_out["special"], "pipes, sockets or devices were left alone"),
    ):
        if count:
            yield f"{count} {text}"
