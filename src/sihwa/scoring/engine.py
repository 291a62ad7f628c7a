"""What does the work of a run: blocks of files in, rows out.

An engine knows nothing of the table. Which files need rows, where rows are written and what is
counted is the same for threads of this process and for a cluster.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Event
from typing import NamedTuple, Protocol

from sihwa.images import available_cores
from sihwa.inspector import Card, Inspector, RuntimeChoice
from sihwa.scoring.block import Entry, score_block
from sihwa.scoring.options import ScoreOptions
from sihwa.scoring.overlays import write_overlay
from sihwa.scoring.rows import Row


class Scored(NamedTuple):
    """What an engine has done since it last yielded."""

    files: int
    rows: list[Row]
    """More than files, if some have pages."""


class Engine(Protocol):
    """Scores blocks of files."""

    card: Card
    """The card of its inspector."""
    choice: RuntimeChoice
    """Runtime, device and precision, the same for every row."""

    def score(
        self, blocks: Iterable[list[Entry]], evidence: Path, stop: Event
    ) -> Generator[Scored, None, None]:
        """Yield rows as they are done, exactly once for each file, with bounded memory.

        Args:
            blocks: Files without a row.
            evidence: Folder for overlays, if some were asked for.
            stop: When set, no further block is begun.
        """
        ...


class LocalEngine:
    """Threads of this process that share one inspector; rows keep the order of the files."""

    def __init__(self, inspector: Inspector, options: ScoreOptions) -> None:
        self.card = inspector.card
        self.choice = inspector.runtime.choice
        # one more than cores: while one waits for Python's lock, another has its core
        self.workers = options.workers or available_cores() + 1
        self._inspector = inspector
        self._options = options

    def score(
        self, blocks: Iterable[list[Entry]], evidence: Path, stop: Event
    ) -> Generator[Scored, None, None]:
        """See `Engine`.

        A worker does a whole block, from reading to rows, so no queue between threads can grow.
        At most two blocks per worker are in hand, so a slow consumer slows the listing.
        """
        work = block_scorer(self._inspector, self._options, evidence)
        in_hand: deque[tuple[int, Future[list[Row]]]] = deque()
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="score")
        try:
            for block in blocks:
                if stop.is_set():
                    break
                in_hand.append((len(block), pool.submit(work, block)))
                if len(in_hand) >= 2 * self.workers:
                    files, done = in_hand.popleft()
                    yield Scored(files, done.result())
            for files, done in in_hand:
                if stop.is_set() and done.cancel():
                    break  # those after it must not be written either: rows stay in order
                yield Scored(files, done.result())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def block_scorer(
    inspector: Inspector, options: ScoreOptions, evidence: Path
) -> Callable[[Sequence[Entry]], list[Row]]:
    """Return `score_block` with the options of a run; it writes the overlays asked for."""
    write = partial(write_overlay, evidence, options.evidence) if options.evidence else None
    return partial(
        score_block,
        inspector,
        options=options.read,
        batch_size=options.batch_size,
        on_inspected=write,
    )
