"""Scoring: an inspector and pictures in, one row per picture out, whatever happens."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from threading import Event
from typing import Any

from sihwa.errors import ConfigError, EmptyDataset
from sihwa.inspector import Inspector
from sihwa.progress import progress_bar
from sihwa.scoring.block import BATCH_SIZE, Entry, ReadOptions, score_block
from sihwa.scoring.ledger import Ledger
from sihwa.scoring.output import Output, open_output
from sihwa.scoring.overlays import CHOICES, OverlayWriter
from sihwa.scoring.pipeline import blocks_of, run_in_order
from sihwa.scoring.resume import remove_stale
from sihwa.scoring.rows import Row, file_of_row
from sihwa.scoring.sources import Sources, counted
from sihwa.scoring.summary import ScoreSummary
from sihwa.scoring.watch import Arrivals

__all__ = ["ScoreOptions", "available_cores", "score_sources"]

_BATCHES_PER_BLOCK = 2
"""Pictures of mixed sizes fill larger batches when a worker sees more of them at once."""


@dataclass(frozen=True)
class ScoreOptions:
    """How a run scores; see `sihwa score --help`.

    Attributes:
        read: How files become pictures.
        workers: Threads that read, decode and inspect; 0 is one per core.
        batch_size: Most pictures in one inference.
        resume: Go on with a table that is there.
        watch: Go on with files as they arrive in the folders, until stopped.
        evidence: Folder for overlays, if any.
        evidence_of: Decisions that get one.
    """

    read: ReadOptions = field(default_factory=ReadOptions)
    workers: int = 0
    batch_size: int = BATCH_SIZE
    resume: bool = False
    watch: bool = False
    evidence: Path | None = None
    evidence_of: Sequence[str] = ("all",)

    def __post_init__(self) -> None:
        """Reject what is out of range."""
        for name, value, least in (
            ("--workers", self.workers, 0),
            ("--batch-size", self.batch_size, 1),
        ):
            if value < least:
                raise ConfigError(f"{name} must be at least {least}, got {value}")
        unknown = [name for name in self.evidence_of if name not in CHOICES]
        if unknown:
            raise ConfigError(f"--evidence-of must be {', '.join(CHOICES)}; got {unknown[0]}")


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def score_sources(
    inspector: Inspector,
    sources: str | Path | Sequence[str | Path],
    out: Path,
    options: ScoreOptions | None = None,
    stop: Event | None = None,
) -> ScoreSummary:
    """Score pictures; write one row per picture, in the order in which they are listed.

    Args:
        inspector: Loaded, with one thread per inference where several workers are to share it;
            see `sihwa.inspector.load_inspector`.
        sources: See `Sources`.
        out: A .csv or .jsonl file, or a folder that gets Parquet parts.
        options: How; all automatic when left out.
        stop: Set by another thread or a signal: the pictures in hand are finished and written.

    Returns:
        What is in the table now. It is complete unless `stop` was set.

    Raises:
        DatasetNotFound: There is no such source.
        EmptyDataset: The sources hold no picture at all.
        ConfigError: An option is out of range, or a table is there and not to be gone on with.
        StorageError: The disk refuses, or another process writes there. Rows that were written
            stay; the run can be resumed.
    """
    words = [sources] if isinstance(sources, (str, Path)) else sources
    options, stop = options or ScoreOptions(), stop or Event()
    listing = Sources(words)
    _refuse_overlays_among(listing.folders(), options.evidence)
    with ExitStack() as stack:
        arrivals = stack.enter_context(Arrivals(listing.folders(), stop)) if options.watch else None
        entries = iter(listing) if arrivals else _require_any(listing)
        output = stack.enter_context(open_output(out, inspector, options.read))
        run = _Run(inspector, output, stack.enter_context(Ledger()), options, stop)
        output.begin(options.resume)
        run.take_over()
        with progress_bar("scoring", stack.enter_context(counted(words))) as advance:
            run.score(entries, advance)
            run.summary.left_out = Counter(listing.left_out)
            run.summary.gone = 0 if stop.is_set() else run.ledger.count_gone()
            for arrived in arrivals.until_stopped(run.ledger) if arrivals else ():
                run.score(arrived, advance)
        run.finish()
    return run.summary


class _Run:
    """One run over its sources."""

    def __init__(
        self,
        inspector: Inspector,
        output: Output,
        ledger: Ledger,
        options: ScoreOptions,
        stop: Event,
    ) -> None:
        self.summary = ScoreSummary()
        self.ledger = ledger
        self._output = output
        self._stop = stop
        self._begin = time.perf_counter()
        self._workers = options.workers or available_cores()
        self._block_size = _BATCHES_PER_BLOCK * options.batch_size
        self._work = partial(
            _score_counted,
            inspector=inspector,
            options=options.read,
            batch_size=options.batch_size,
            on_inspected=options.evidence and OverlayWriter(options.evidence, options.evidence_of),
        )

    def take_over(self) -> None:
        """Keep of an old table what is still true, and count it."""
        table = self._output.table
        self.summary.changed = remove_stale(table)
        for row in table.written():
            self.summary.count(row)
            self.ledger.add_written(file_of_row(row["path"], row["path_bytes"], row["page"]))

    def score(self, entries: Iterable[Entry], advance: Callable[[int], None]) -> None:
        """Score the files that have no row yet."""
        blocks = blocks_of(self._without_rows(entries, advance), self._block_size)
        with closing(run_in_order(blocks, self._work, self._workers, self._stop)) as done:
            for count, rows in done:
                self._output.table.append(rows)
                self.summary.add(rows)
                advance(count)
        self._output.table.append([])

    def finish(self) -> None:
        """Make the table durable and say what is in it."""
        self._output.table.close()
        self.summary.seconds = time.perf_counter() - self._begin
        self.summary.stopped = self._stop.is_set()
        state = "stopped" if self.summary.stopped else "complete"
        self._output.write_summary(state, self.summary)

    def _without_rows(
        self, entries: Iterable[Entry], advance: Callable[[int], None]
    ) -> Iterator[Entry]:
        for entry in entries:
            known = self.ledger.list(entry.path)
            if known == "new":
                yield entry
                continue
            self.summary.listed_twice += known == "twice"
            advance(1)


def _score_counted(entries: list[Entry], **given: Any) -> tuple[int, list[Row]]:  # noqa: ANN401
    return len(entries), score_block(entries=entries, **given)


def _refuse_overlays_among(folders: Sequence[str], evidence: Path | None) -> None:
    for folder in folders:
        if evidence and evidence.resolve().is_relative_to(Path(folder).resolve()):
            raise ConfigError(
                f"--evidence {evidence} lies in the source {folder}: its maps would be scored "
                "as pictures. Name a folder outside"
            )


def _require_any(listing: Sources) -> Iterator[Entry]:
    entries = iter(listing)
    first = next(entries, None)
    if first is None:
        others = sum(listing.left_out.values())
        raise EmptyDataset(f"{', '.join(listing.words)}: no picture found ({others} other files)")
    return chain([first], entries)
