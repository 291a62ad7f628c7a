"""The command `sihwa score`; `scripts/score.py` is the same."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sihwa.errors import ConfigError
from sihwa.images import MAX_PIXELS
from sihwa.inspector import load_inspector
from sihwa.scoring import (
    BATCH_SIZE,
    Engine,
    LocalEngine,
    ReadOptions,
    ScoreOptions,
    ScoreSummary,
    Sources,
    available_cores,
    ray_engine,
    score_with,
)
from sihwa.terminal.console import note, say
from sihwa.terminal.guard import EXIT_INTERRUPTED, EXIT_TERMINATED, begin_work
from sihwa.terminal.printable import printable


class EngineName(StrEnum):
    """What does the work."""

    local = "local"
    ray = "ray"


_Inspector = Annotated[
    Path, typer.Argument(help="Inspector folder, or its .onnx file.", show_default=False)
]
_Source = Annotated[
    list[str],
    typer.Argument(
        help="Folders (with all below), 'globs' in quotes, files, .zip, .tar, lists of paths "
        "(.txt) or tables with a column path (.csv, .parquet).",
        show_default=False,
    ),
]
_Out = Annotated[
    Path,
    typer.Option("--out", "-o", help="A .csv or .jsonl file, or a folder of Parquet parts."),
]
_Resume = Annotated[bool, typer.Option("--resume", help="Go on with a table that is there.")]
_Watch = Annotated[
    bool, typer.Option("--watch", help="Then score files as they arrive, until stopped.")
]
_Evidence = Annotated[
    Path | None,
    typer.Option(help="Folder for heat maps over the images.", show_default=False),
]
_EvidenceOf = Annotated[
    list[str] | None,
    typer.Option(help="accept, reject, review or all; may be repeated.  \\[default: all]"),
]
_Pages = Annotated[str, typer.Option(help="A TIFF of several pages: rows (one each) or error.")]
_MaxPixels = Annotated[int, typer.Option(help="Larger images are not decoded but sent to review.")]
_Workers = Annotated[
    int,
    typer.Option(
        help="Threads, at most 1024; 0 is one more than cores. With ray, those of each worker."
    ),
]
_BatchSize = Annotated[int, typer.Option(help="Most images per inference, 1 to 4096.")]
_Runtime = Annotated[str, typer.Option(help="auto, onnxruntime, openvino or torch.")]
_Device = Annotated[
    str,
    typer.Option(help="cpu, cuda or cuda:N; auto is cpu, and with ray the cluster's GPUs if any."),
]
_Precision = Annotated[str, typer.Option(help="auto, fp32, bf16, fp16 or int8.")]
_Engine = Annotated[
    EngineName, typer.Option(help="local is this process; ray, the machines of a cluster.")
]
_Address = Annotated[
    str | None,
    typer.Option(
        help="HOST:PORT of the Ray cluster, which this machine is part of. Without it, the one "
        "that runs here, or one of this machine alone.",
        show_default=False,
    ),
]


def score(
    inspector: _Inspector,
    source: _Source,
    out: _Out,
    resume: _Resume = False,
    watch: _Watch = False,
    evidence: _Evidence = None,
    evidence_of: _EvidenceOf = None,
    pages: _Pages = "rows",
    max_pixels: _MaxPixels = MAX_PIXELS,
    workers: _Workers = 0,
    batch_size: _BatchSize = BATCH_SIZE,
    runtime: _Runtime = "auto",
    device: _Device = "auto",
    precision: _Precision = "auto",
    engine: _Engine = EngineName.local,
    address: _Address = None,
) -> None:
    """Score images: one row per image, whatever the image.

    What cannot be read gets a row, too: decision review, with the error.
    A run that was stopped, killed or ran out of disk goes on with --resume.
    docs/row-contract.md says what a row holds, docs/scale.md how many
    machines share the work.

    [bold]Examples[/]

    sihwa score outputs/latest/inspector parts/ --out scores.csv

    sihwa score inspector.onnx shift-3.zip 'line-[12]/**/*.png' -o scores

    sihwa score inspector parts/ -o scores --evidence maps --evidence-of reject

    sihwa score inspector /mnt/camera --out today.jsonl --resume --watch

    sihwa score inspector /mnt/parts -o scores --engine ray --address head:6379
    """
    read = ReadOptions(max_pixels, pages)  # type: ignore[arg-type]  # it checks the word itself
    if evidence_of and not evidence:
        raise ConfigError("--evidence-of names decisions to draw maps of; add --evidence FOLDER")
    shown = evidence_of or ("all",)
    options = ScoreOptions(read, workers, batch_size, resume, watch, evidence, shown)
    Sources(source)  # what can be refused is refused before the inspector is loaded
    with _load(engine, address, inspector, options, runtime, device, precision) as loaded:
        _score(loaded, source, out, options)


@contextmanager
def _load(
    engine: EngineName,
    address: str | None,
    inspector: Path,
    options: ScoreOptions,
    runtime: str,
    device: str,
    precision: str,
) -> Iterator[Engine]:
    if engine == EngineName.ray:
        begin_work()
        note("connecting to " + (f"Ray at {address}" if address else "Ray"))
        with ray_engine(inspector, options, address, runtime, device, precision) as cluster:
            note(f"inspector {cluster.card.id}, {cluster.explanation}; {cluster.places}")
            yield cluster
            if cluster.lost:
                note(f"{cluster.lost} times work was lost with its process, and done again")
        return
    if address:
        raise ConfigError(f"--address {address} is that of a Ray cluster; add --engine ray")
    loaded = load_inspector(
        inspector,
        runtime=runtime,
        device="cpu" if device == "auto" else device,
        precision=precision,
        threads=max(1, available_cores() // (options.workers or available_cores())),
        batch_size=options.batch_size,
    )
    note(f"inspector {loaded.card.id}, {loaded.explanation}")
    yield LocalEngine(loaded, options)


def _score(engine: Engine, source: list[str], out: Path, options: ScoreOptions) -> None:
    if options.watch:
        note("scoring what is there, then what arrives, until Ctrl-C")
    with _stop_on_signals() as (stop, received):
        summary = score_with(engine, source, out, options, stop)
    _print_summary(summary, out)
    for word in summary.empty:
        note(f"{word}: no image found; is it the right name?")
    if summary.stopped and not options.watch:
        note("stopped: all rows so far are written; go on with --resume")
        raise SystemExit(EXIT_TERMINATED if signal.SIGTERM in received else EXIT_INTERRUPTED)


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
    table = Table("", "", "images", box=None, padding=(0, 2, 0, 0))
    table.columns[2].justify = "right"
    kinds = {
        "decision": summary.decisions,
        "top class": summary.classes,
        "unreadable": summary.errors,
    }
    for kind, counts in kinds.items():
        for place, (name, count) in enumerate(sorted(counts.items())):
            # as text, not markup: an error may quote a name such as "a[/b].zip"
            table.add_row("" if place else kind, Text(printable(name)), f"{count:,}")
    Console().print(table)
    for line in _notes(summary, out):
        say(line)


def _notes(summary: ScoreSummary, out: Path) -> Iterator[str]:
    rate = summary.new_images / max(summary.seconds, 1e-9)
    before = summary.images - summary.new_images
    suffixes = ", ".join(f"{count} {name}" for name, count in sorted(summary.suffixes.items()))
    yield (
        f"{summary.new_images} rows in {summary.seconds:.1f} s ({rate:,.0f} images/s), "
        f"{summary.review_rate:.1%} to review -> {out}"
        + (f"; {before} rows were there" if before else "")
    )
    for count, text in (
        (
            summary.changed,
            "files or lists were tried again: they changed since their row, or had an error then",
        ),
        (summary.gone, "files that have a row are no longer there, or not named this time"),
        (summary.listed_twice, "files were named twice; they have one row"),
        (summary.overwritten, "files changed after they were scored; --resume scores them again"),
        (summary.left_out["other"], f"other files are not named like images: {suffixes}"),
        (summary.left_out["folder link"], "links to folders were not followed"),
        (summary.left_out["special"], "pipes, sockets or devices were left alone"),
    ):
        if count:
            yield f"{count} {text}"
