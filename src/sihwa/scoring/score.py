"""Scoring: an inspector and images in, one row per image out, whatever happens."""

import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path
from threading import Event
from typing import Any

from sihwa.errors import ConfigError, EmptyDataset
from sihwa.images import identify_file
from sihwa.inspector import Inspector
from sihwa.scoring.block import Entry
from sihwa.scoring.engine import Engine, LocalEngine
from sihwa.scoring.ledger import Ledger
from sihwa.scoring.options import ScoreOptions
from sihwa.scoring.output import Output, open_output, refuse_out_among
from sihwa.scoring.pipeline import blocks_of
from sihwa.scoring.resume import remove_stale
from sihwa.scoring.rows import Row, file_of_row
from sihwa.scoring.sources import Sources, counted
from sihwa.scoring.summary import ScoreSummary
from sihwa.scoring.watch import Arrivals
from sihwa.terminal.progress import progress_bar

_MOST_NS = 2**63 - 1


def score_sources(
    inspector: Inspector,
    sources: str | Path | Sequence[str | Path],
    out: Path,
    options: ScoreOptions | None = None,
    stop: Event | None = None,
) -> ScoreSummary:
    """Score images; write one row per image, in the order in which they are listed.

    Args:
        inspector: Loaded, with one thread per inference where several workers are to share it;
            see `sihwa.inspector.load_inspector`.
        sources: See `Sources`.
        out: A .csv or .jsonl file, or a folder that gets Parquet parts.
        options: How; all automatic when left out.
        stop: Set by another thread or a signal: the images in hand are finished and written.

    Returns:
        What is in the table now. It is complete unless `stop` was set.

    Raises:
        DatasetNotFound: There is no such source.
        EmptyDataset: The sources hold no image at all.
        ConfigError: An option is out of range, or a table is there and not to be gone on with.
        StorageError: The disk refuses, or another process writes there. Rows that were written
            stay; the run can be resumed.
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
    """Score images with an engine of one's own; see `score_sources` for all else."""
    words = [sources] if isinstance(sources, (str, Path)) else sources
    stop = stop or Event()
    listing = Sources(words)
    refuse_out_among(listing.words, out)
    _refuse_overlays_among(listing.words, options.evidence)
    with ExitStack() as stack:
        arrivals = stack.enter_context(Arrivals(listing.folders(), stop)) if options.watch else None
        entries = arrivals.settled(listing) if arrivals else _require_any(listing)
        output = stack.enter_context(open_output(out, engine.card, engine.choice, options.read))
        run = _Run(engine, output, stack.enter_context(Ledger()), stop, watch=options.watch)
        output.begin(options.resume)
        run.take_over(words)
        with progress_bar("scoring", stack.enter_context(counted(words))) as advance:
            run.score(entries, advance)
            run.summary.left_out = Counter(listing.left_out)
            run.summary.suffixes = Counter(listing.suffixes)
            watched = listing.folders() if arrivals else ()
            run.summary.empty = [word for word in listing.empty if word not in watched]
            run.summary.gone = 0 if stop.is_set() else run.ledger.count_gone()
            for arrived in arrivals.until_stopped(run.ledger) if arrivals else ():
                run.score_arrived(arrived, advance)
        run.finish()
    return run.summary


class _Run:
    """One run over its sources."""

    def __init__(
        self, engine: Engine, output: Output, ledger: Ledger, stop: Event, *, watch: bool
    ) -> None:
        self.summary = ScoreSummary()
        self.ledger = ledger
        self._engine = engine
        self._output = output
        self._stop = stop
        self._watch = watch
        self._begin = time.perf_counter()

    def take_over(self, words: Sequence[str | Path]) -> None:
        """Keep of an old table what is still true, and count it."""
        table, place = self._output.table, self._output.path
        # a listing of its own: the run's has begun, and counts what it leaves out
        self.summary.changed = remove_stale(table, place, lambda: _named(Sources(words)))
        for row in table.written():
            self.summary.count(row)
            self.ledger.add_written(_file_of(row))
            self._remember([row])

    def score(self, entries: Iterable[Entry], advance: Callable[[int], None]) -> None:
        """Score the files that have no row yet."""
        blocks = blocks_of(self._without_rows(entries, advance), self._engine.block_size)
        with closing(self._engine.score(blocks, self._stop)) as done:
            for count, rows in done:
                _fit_times(rows)
                self._output.table.append(rows)
                self._remember(rows)
                self.summary.add(rows)
                advance(count)
        self._output.table.append([])

    def score_arrived(self, arrived: Iterable[Entry], advance: Callable[[int], None]) -> None:
        """Score what came under watch; a file that has a row keeps it, and is counted."""
        new = []
        for entry in arrived:
            if not self.ledger.has(entry.path):
                new.append(entry)
                continue
            size, modified_ns = identify_file(entry.path) or (None, None)
            self.ledger.mark_changed(entry.path, size, _fitted(modified_ns))
        self.score(new, advance)
        self.summary.overwritten = self.ledger.count_changed()

    def _remember(self, rows: Iterable[Mapping[str, Any]]) -> None:
        for row in rows if self._watch else ():
            self.ledger.remember(_file_of(row), row["size"], row["modified_ns"])

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


def _fit_times(rows: Iterable[Row]) -> None:
    """Bring times of change into the years 1678 to 2262, which an int64 of ns can hold."""
    for row in rows:
        if isinstance(time_ns := row["modified_ns"], int):
            row["modified_ns"] = _fitted(time_ns)


def _fitted(time_ns: int | None) -> int | None:
    return None if time_ns is None else max(-_MOST_NS, min(time_ns, _MOST_NS))


def _file_of(row: Mapping[str, Any]) -> str:
    return file_of_row(row["path"], row["path_bytes"], row["page"])


def _refuse_overlays_among(words: Sequence[str], evidence: Path | None) -> None:
    if evidence is None:
        return
    place = Path(os.path.realpath(evidence))
    for word in words:
        root, steps = _glob_parts(word)
        if place.is_relative_to(root) and _may_name(steps, place.relative_to(root).parts):
            raise ConfigError(
                f"--evidence {evidence} lies in the source {word}: its maps would be scored "
                "as images. Name a folder outside"
            )


def _glob_parts(word: str) -> tuple[Path, Sequence[str]]:
    """Return the folder below which a source looks, and the steps of its glob from there."""
    steps = Path(word).parts
    fixed = next((i for i, step in enumerate(steps) if re.search(r"[*?[]", step)), len(steps))
    fixed = len(steps) if Path(word).exists() else fixed
    # Path.resolve raises on a link that leads to itself
    return Path(os.path.realpath(Path(*steps[:fixed]))), steps[fixed:]


def _may_name(steps: Sequence[str], folders: Sequence[str]) -> bool:
    """Say whether a glob may name a map in a folder, or a folder above it; rather yes than no.

    >>> _may_name(["**", "*.jpg"], ["maps"]), _may_name(["line-?", "*.jpg"], ["maps"])
    (True, False)
    """
    if not steps or not folders:
        return True
    if steps[0] == "**":
        suffix = Path(steps[-1]).suffix
        return not suffix or fnmatchcase(".jpg", suffix)
    return fnmatchcase(folders[0], steps[0]) and _may_name(steps[1:], folders[1:])


def _named(listing: Sources) -> Iterator[str]:
    """List every file that some words name, and the places that are looked through for them.

    A place has a row where it could not be listed; now that it can be, it is no entry any more.
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
        raise EmptyDataset(f"{', '.join(listing.words)}: no image found ({others} other files)")
    return chain([first], entries)
