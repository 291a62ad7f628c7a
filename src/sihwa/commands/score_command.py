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

from sihwa.images import MAX_PIXELS, available_cores
from sihwa.inspector import load_inspector
from sihwa.scoring import (
    BATCH_SIZE,
    Engine,
    LocalEngine,
    ReadOptions,
    ScoreOptions,
    ScoreSummary,
    Sources,
    open_ray_engine,
    score_with,
)
from sihwa.terminal.console import note, say
from sihwa.terminal.guard import EXIT_INTERRUPTED, EXIT_TERMINATED, begin_work
from sihwa.terminal.names import printable


class EngineName(StrEnum):
    """Where images are scored."""

    local = "local"
    ray = "ray"


def score(
    inspector: Annotated[
        Path, typer.Argument(help="Inspector folder, or its .onnx file.", show_default=False)
    ],
    source: Annotated[
        list[str],
        typer.Argument(
            help='Folders (with all below), "globs" in quotes, files, .zip, .tar, lists of paths '
            "(.txt) or tables with a column path (.csv, .parquet).",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="A .csv, .jsonl or .parquet file, or a folder of Parquet shards."
        ),
    ],
    resume: Annotated[bool, typer.Option("--resume", help="Continue a table that exists.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Then score files as they arrive, until stopped.")
    ] = False,
    evidence: Annotated[
        list[str] | None,
        typer.Option(
            help="Write heat maps over images with this decision (accept, reject, review or all) "
            "beside the table; may be repeated.",
            show_default=False,
        ),
    ] = None,
    pages: Annotated[
        str, typer.Option(help="A TIFF of several pages: rows (one each) or error.")
    ] = "rows",
    max_pixels: Annotated[
        int, typer.Option(help="Larger images are not decoded and go to review.")
    ] = MAX_PIXELS,
    workers: Annotated[
        int,
        typer.Option(
            help="Threads, at most 1024; 0 is one more than cores. With ray, threads per worker."
        ),
    ] = 0,
    batch_size: Annotated[
        int, typer.Option(help="Most images per inference, 1 to 4096.")
    ] = BATCH_SIZE,
    runtime: Annotated[str, typer.Option(help="auto, onnxruntime, openvino or torch.")] = "auto",
    device: Annotated[
        str,
        typer.Option(
            help="cpu, cuda or cuda:N; auto is cpu, and with ray the cluster's GPUs if any."
        ),
    ] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16, fp16 or int8.")] = "auto",
    part: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="Decide parts, too: what names the part in a path, in ( ); or column:NAME of a "
            "table among the sources.",
            show_default=False,
        ),
    ] = None,
    views: Annotated[
        int | None,
        typer.Option(
            help="With --part: a part with fewer images goes to review.", show_default=False
        ),
    ] = None,
    engine: Annotated[
        EngineName, typer.Option(help="local is this process; ray is a cluster.")
    ] = EngineName.local,
    address: Annotated[
        str | None,
        typer.Option(
            help="HOST:PORT of the Ray cluster, which this machine is part of. Without it, the one "
            "that runs here, or one of this machine alone.",
            show_default=False,
        ),
    ] = None,
) -> None:
    r"""Score images: one row per image, readable or not.

    An image that cannot be read gets a row with decision review and the error.
    A run that was stopped, killed or ran out of disk continues with --resume.
    docs/row-contract.md lists the columns, docs/scale.md explains several
    machines.

    [bold]Examples[/]

    sihwa score outputs/latest/inspector parts/ --out scores.csv

    sihwa score inspector.onnx shift-3.zip "line-[12]/**/*.png" -o scores

    sihwa score inspector parts/ -o scores --evidence reject

    sihwa score inspector /mnt/camera --out today.jsonl --resume --watch

    sihwa score inspector parts/ -o scores.csv --part "part(\d+)_" --views 4

    sihwa score inspector /mnt/parts -o scores --engine ray --address head:6379
    """
    options = ScoreOptions(
        read=ReadOptions(max_pixels, pages),  # type: ignore[arg-type]  # ReadOptions checks it
        workers=workers,
        batch_size=batch_size,
        resume=resume,
        watch=watch,
        evidence=evidence or (),
        runtime=runtime,
        device=device,
        precision=precision,
        engine=engine.value,
        address=address,
        part=part,
        views=views,
    )
    Sources(source)  # refuse a wrong source before the inspector is loaded
    with _open_engine(inspector, options) as opened:
        _score(opened, source, out, options)


@contextmanager
def _open_engine(inspector: Path, options: ScoreOptions) -> Iterator[Engine]:
    if options.engine == "ray":
        begin_work()
        note("connecting to " + (f"Ray at {options.address}" if options.address else "Ray"))
        with open_ray_engine(inspector, options) as cluster:
            note(f"inspector {cluster.card.id}, {cluster.explanation}; {cluster.places}")
            yield cluster
            if cluster.retried:
                note(f"retried {cluster.retried} blocks after a worker died")
        return
    loaded = load_inspector(
        inspector,
        runtime=options.runtime,
        device="cpu" if options.device == "auto" else options.device,
        precision=options.precision,
        threads=max(1, available_cores() // (options.workers or available_cores())),
        batch_size=options.batch_size,
    )
    note(f"inspector {loaded.card.id}, {loaded.explanation}")
    yield LocalEngine(loaded, options)


def _score(engine: Engine, source: list[str], out: Path, options: ScoreOptions) -> None:
    if not options.part and any(claim.per == "part" for claim in engine.card.claims):
        note("what this inspector proves holds for parts; --part REGEX decides parts")
    if options.watch:
        note("scoring existing files, then new ones as they arrive, until Ctrl-C")
    with _stop_on_signals() as (stop, received):
        summary = score_with(engine, source, out, options, stop)
    _print_summary(summary, out)
    if options.evidence and summary.kept:
        note(
            f"{summary.kept} images had a row already, so --evidence drew no map of them; name "
            "another --out for all maps"
        )
    for word in summary.empty:
        note(f"{word}: no image found; check the name")
    if summary.stopped and not options.watch:
        note("stopped; all rows so far are written. Continue with --resume")
        raise SystemExit(EXIT_TERMINATED if signal.SIGTERM in received else EXIT_INTERRUPTED)


@contextmanager
def _stop_on_signals() -> Iterator[tuple[Event, list[int]]]:
    """Yield an event that SIGINT or SIGTERM sets, and the signals; a second one interrupts."""
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
    parts = summary.parts
    for place, (name, count) in enumerate(sorted(parts.decisions.items()) if parts else ()):
        table.add_row("" if place else "parts", Text(name), f"{count:,}")
    Console().print(table)
    for line in _notes(summary, out):
        say(line)


def _notes(summary: ScoreSummary, out: Path) -> Iterator[str]:
    rate = summary.new_images / max(summary.seconds, 1e-9)
    suffixes, service = (
        ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
        for counts in (summary.suffixes, summary.service)
    )
    yield (
        f"{summary.new_images} rows in {summary.seconds:.1f} s ({rate:,.0f} images/s), "
        f"{summary.review_rate:.1%} to review -> {out}"
        + (f"; {summary.kept} earlier rows kept" if summary.kept else "")
    )
    if summary.parts:
        yield f"{summary.parts.decisions.total()} parts -> {summary.parts.path}"
    for count, text in (
        (summary.parts.alone if summary.parts else 0, "images name no part; each is one by itself"),
        (summary.changed, "files or lists were scored again: they changed or had an error before"),
        (summary.gone, "files with a row are gone, or not among the sources"),
        (summary.listed_twice, "files were named twice; they have one row"),
        (summary.overwritten, "files changed after they were scored; --resume scores them again"),
        (summary.left_out["other"], f"other files are not named like images: {suffixes}"),
        (
            summary.left_out["service"],
            f"hidden or service files and folders were left out: {service}",
        ),
        (
            summary.left_out["folder link"],
            "links to folders were not followed: those folders are listed elsewhere",
        ),
        (summary.left_out["special"], "pipes, sockets or devices were left out"),
    ):
        if count:
            yield f"{count} {text}"
