"""Scoring: an inspector and images in, at least one row per file out."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from threading import Event
from typing import Any

from sihwa.errors import DatasetError
from sihwa.inspector import Inspector
from sihwa.scoring.block import Entry, blocks_of
from sihwa.scoring.engine import Engine, LocalEngine
from sihwa.scoring.options import ScoreOptions
from sihwa.scoring.parts import PartRule, require_no_parts, write_parts
from sihwa.scoring.resume import Ledger, remove_stale
from sihwa.scoring.rows import file_of_row
from sihwa.scoring.sources import Sources, counted
from sihwa.scoring.summary import ScoreSummary
from sihwa.scoring.table import ScoreTable, open_table, table_folder
from sihwa.scoring.watch import Arrivals
from sihwa.terminal.progress import progress_bar


def score_sources(
    inspector: Inspector,
    sources: str | Path | Sequence[str | Path],
    out: Path,
    options: ScoreOptions | None = None,
    stop: Event | None = None,
) -> ScoreSummary:
    """Score images; write a row for each file, or for each page of a TIFF.

    Args:
        inspector: Loaded, with one thread per inference if several workers share it; see
            `sihwa.inspector.load_inspector`.
        sources: See `Sources`.
        out: A .csv, .jsonl or .parquet file, or a folder; see docs/row-contract.md.
        options: How to score; None is all defaults.
        stop: Set by another thread or a signal: images in hand are finished and written.

    Returns:
        What the table holds now. It is complete unless `stop` was set.

    Raises:
        DatasetError: A source does not exist, or the sources hold no image at all.
        ConfigError: An option is out of range, or the table exists and cannot be resumed.
        StorageError: The disk refuses, or another process writes the table. Rows that were
            written stay, and the run can be resumed.
    """
    options = options or ScoreOptions()
    return score_with(LocalEngine(inspector, options), sources, out, options, stop)


def score_with(
    engine: Engine,
    sources: str | Path | Sequence[str | Path],
    out: Path,
    options: ScoreOptions,
    stop: Event | None = None,
) -> ScoreSummary:
    """Score images with any engine; see `score_sources`."""
    words = [sources] if isinstance(sources, (str, Path)) else sources
    stop = stop or Event()
    rule = PartRule.for_sources(options.part, options.views, words) if options.part else None
    if rule and not options.resume:
        require_no_parts(out)
    listing = Sources(words, skip=table_folder(out))
    with ExitStack() as stack:
        arrivals = stack.enter_context(closing(Arrivals(listing, stop))) if options.watch else None
        entries = arrivals.settled(listing) if arrivals else _require_any(listing)
        table = stack.enter_context(open_table(out, engine.card, engine.choice, options.read))
        run = _Run(engine, table, stack.enter_context(closing(Ledger())), options, stop)
        table.begin(resume=options.resume, watch=options.watch)
        run.take_over(words)
        table.start_copy()
        with progress_bar("scoring", stack.enter_context(counted(words))) as advance:
            run.score(entries, advance)
            run.note_listing(listing, watched=listing.folders() if arrivals else ())
            for arrived in arrivals.until_stopped(run.ledger) if arrivals else ():
                run.score_arrived(arrived, advance)
        run.finish()
        if rule and (options.watch or not stop.is_set()):
            run.summary.parts = write_parts(out, table.shards.tables(), rule)
    return run.summary


@dataclass
class _Run:
    engine: Engine
    table: ScoreTable
    ledger: Ledger
    options: ScoreOptions
    stop: Event
    summary: ScoreSummary = field(default_factory=ScoreSummary)
    begin: float = field(default_factory=time.perf_counter)

    def take_over(self, words: Sequence[str | Path]) -> None:
        """Keep the rows of an old table that are still true, and count them."""
        shards = self.table.shards
        # a second listing: the run's own has begun, and counts what it leaves out
        self.summary.changed = remove_stale(shards, lambda: _named(Sources(words)))
        for row in shards.rows():
            self.summary.count(row)
            self.ledger.add(row)

    def score(self, entries: Iterable[Entry], advance: Callable[[int], None]) -> None:
        blocks = blocks_of(self._without_rows(entries, advance), self.options.block_size)
        with closing(self.engine.score(blocks, self.table.evidence, self.stop)) as done:
            for count, rows in done:
                self.table.append(rows)
                for row in rows:
                    self.summary.count(row)
                    if self.options.watch:
                        self.ledger.add(row)
                self.summary.new_images += len(rows)
                advance(count)
        self.table.append([])  # under watch, a shard may be due though no file came

    def note_listing(self, listing: Sources, watched: Sequence[str]) -> None:
        """Count what the first listing left out, and the files that are gone."""
        self.summary.left_out = listing.left_out
        self.summary.suffixes = listing.suffixes
        self.summary.service = listing.service
        self.summary.empty = [word for word in listing.empty if word not in watched]
        self.summary.gone = 0 if self.stop.is_set() else self.ledger.count_gone()

    def score_arrived(self, arrived: Iterable[Entry], advance: Callable[[int], None]) -> None:
        """Score files that arrived under watch; one that has a row keeps it, and is counted.

        A row with an error is replaced: a slow copy may stall for longer than a file is waited for.
        """
        arrived = list(arrived)
        if again := {one.path for one in arrived if self.ledger.is_due_again(one.path)}:
            self._take_back(again)
        new = []
        for entry in arrived:
            if self.ledger.has(entry.path):
                self.ledger.mark_changed(entry.path)
            else:
                new.append(entry)
        self.score(new, advance)
        self.summary.overwritten = self.ledger.count_changed()

    def _take_back(self, files: set[str]) -> None:
        """Remove the rows of some files, which are scored again."""

        def is_stale(row: Mapping[str, Any]) -> bool:
            if file_of_row(row) not in files:
                return False
            self.summary.count(row, -1)
            self.summary.new_images -= 1  # the one in its place counts
            return True

        self.table.remove(is_stale)
        for file in files:
            self.ledger.forget(file)
        self.summary.changed += len(files)

    def finish(self) -> None:
        self.summary.stopped = self.stop.is_set()
        self.summary.seconds = time.perf_counter() - self.begin
        self.table.finish(self.summary)

    def _without_rows(
        self, entries: Iterable[Entry], advance: Callable[[int], None]
    ) -> Iterator[Entry]:
        for entry in entries:
            known = self.ledger.list(entry.path)
            if known == "new":
                yield entry
                continue
            self.summary.listed_twice += known == "listed twice"
            advance(1)


def _named(listing: Sources) -> Iterator[str]:
    """List every file that the sources name, and the folders that are searched for them.

    A folder that could not be listed has a row; once it can be listed, it has none.
    """
    yield from listing.words
    last = Path()
    for entry in listing:
        yield entry.path
        if (folder := Path(entry.path).parent) != last:
            yield from map(str, (folder, *folder.parents))
            last = folder


def _require_any(listing: Sources) -> Iterator[Entry]:
    entries = iter(listing)
    first = next(entries, None)
    if first is None:
        others = sum(listing.left_out.values())
        raise DatasetError(f"{', '.join(listing.words)}: no image found ({others} other files)")
    return chain([first], entries)
