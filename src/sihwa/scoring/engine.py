"""What does the work of a run: blocks of files in, their rows out, in order.

An engine decides nothing about the table: which files still need rows, where the rows go and what
is counted is the same whether threads of this process or the machines of a cluster do the work.
"""

from collections.abc import Generator, Iterable
from functools import partial
from threading import Event
from typing import Any, NamedTuple, Protocol

from sihwa.images import available_cores
from sihwa.inspector import Card, Inspector, RuntimeChoice
from sihwa.scoring.block import Entry, score_block
from sihwa.scoring.options import ScoreOptions
from sihwa.scoring.pipeline import run_in_order
from sihwa.scoring.rows import Row


class Scored(NamedTuple):
    """One block that is done."""

    files: int
    rows: list[Row]
    """More than files, where some have pages."""


class Engine(Protocol):
    """Scores blocks of files."""

    @property
    def card(self) -> Card:
        """The card of the inspector that it has loaded."""
        ...

    @property
    def choice(self) -> RuntimeChoice:
        """What it runs it with: the same for every row."""
        ...

    @property
    def block_size(self) -> int:
        """Files per block, at most."""
        ...

    def score(self, blocks: Iterable[list[Entry]], stop: Event) -> Generator[Scored, None, None]:
        """Yield the rows of each block, in order, with a bounded number of blocks in hand.

        When `stop` is set, no further block is begun; rows that are yielded stay without gaps.
        """
        ...


class LocalEngine:
    """Threads of this process, which share one inspector; see `Engine`."""

    def __init__(self, inspector: Inspector, options: ScoreOptions) -> None:
        self.card = inspector.card
        self.choice = inspector.runtime.choice
        self.block_size = options.block_size
        # one more than cores: while one waits for Python's lock, another has its core
        self._workers = options.workers or available_cores() + 1
        self._work = partial(
            _score,
            inspector=inspector,
            options=options.read,
            batch_size=options.batch_size,
            on_inspected=options.overlay_writer(),
        )

    def score(self, blocks: Iterable[list[Entry]], stop: Event) -> Generator[Scored, None, None]:
        """See `Engine`."""
        return run_in_order(blocks, self._work, self._workers, stop)


def _score(entries: list[Entry], **given: Any) -> Scored:  # noqa: ANN401
    return Scored(len(entries), score_block(entries=entries, **given))
