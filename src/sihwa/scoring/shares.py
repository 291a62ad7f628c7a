"""Blocks of work done by workers that may be lost at any moment, in order, none lost or doubled.

A worker gives rows back and writes nothing, so a block whose worker was lost is simply given to
another one: rows count when they have arrived, and they arrive once. What a lost worker, or one
that was only cut off, may still be doing meets nobody.
"""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Generic, Protocol, TypeVar

from sihwa.scoring.block import Entry
from sihwa.scoring.engine import Scored
from sihwa.scoring.rows import Row

IN_HAND = 3
"""Blocks in hand per worker: one being done, and what keeps it busy while an older one is late."""

CHANCES = 3
"""Workers that a block may lose before its files are taken one by one, and then each file."""

T = TypeVar("T")


class Lost(Exception):
    """A block's worker ended, or was cut off, before its rows came back."""


class Workers(Protocol[T]):
    """Where blocks are worked on; T stands for work that was begun."""

    def count(self) -> int:
        """Return how many blocks can be worked on at once, now."""
        ...

    def begin(self, entries: Sequence[Entry]) -> T:
        """Hand out files to score."""
        ...

    def wait(self, begun: Sequence[T]) -> Sequence[T]:
        """Return what of it is done or lost; wait a little if nothing is."""
        ...

    def rows(self, done: T) -> list[Row]:
        """Return the rows of what is done.

        Raises:
            Lost: It must be begun anew.
        """
        ...

    def drop(self, begun: Sequence[T]) -> None:
        """Forget work that nobody waits for any more."""
        ...


def score_on_workers(
    workers: Workers[T], blocks: Iterable[list[Entry]], stop: Event
) -> Generator[Scored, None, None]:
    """Yield the rows of each block, in order.

    A file that takes its worker with it, three times alone, gets a row that says so: nothing less
    would end a run over a million files, and nothing else is known of it.

    Args:
        workers: May come and go.
        blocks: Read when there is work to hand out.
        stop: When set, no further block is begun; those in hand are finished and yielded.
    """
    window: deque[_Block[T]] = deque()
    stream = iter(blocks)
    try:
        while True:
            # with no worker left, work waits for one to come
            while len(window) < IN_HAND * max(1, workers.count()) and not stop.is_set():
                entries = next(stream, None)
                if entries is None:
                    break
                window.append(_Block(entries, workers))
            if not window:
                return
            if window[0].is_done():
                yield window.popleft().scored()
            else:
                _collect(window, workers)
    finally:
        workers.drop([piece.begun for block in window for piece in block.waiting()])


def _collect(window: Iterable["_Block[T]"], workers: Workers[T]) -> None:
    """Take the rows that have come, of any block, and hand out again what was lost."""
    waiting = {piece.begun: (block, piece) for block in window for piece in block.waiting()}
    for done in workers.wait(list(waiting)) if waiting else ():
        block, piece = waiting[done]
        try:
            piece.rows = workers.rows(done)
        except Lost:
            block.begin_again(piece)


@dataclass
class _Piece(Generic[T]):
    """Files of a block that are with one worker: all of them, or a single one."""

    entries: Sequence[Entry]
    begun: T
    losses: int = 0
    rows: list[Row] | None = None


class _Block(Generic[T]):
    """One block on its way to its rows."""

    def __init__(self, entries: Sequence[Entry], workers: Workers[T]) -> None:
        self._files = len(entries)
        self._workers = workers
        self._pieces = [self._begin(entries)]

    def is_done(self) -> bool:
        return next(self.waiting(), None) is None

    def waiting(self) -> Iterator[_Piece[T]]:
        return (piece for piece in self._pieces if piece.rows is None)

    def scored(self) -> Scored:
        return Scored(self._files, [row for piece in self._pieces for row in piece.rows or ()])

    def begin_again(self, piece: _Piece[T]) -> None:
        piece.losses += 1
        if piece.losses < CHANCES:
            piece.begun = self._workers.begin(piece.entries)
        elif len(piece.entries) > 1:
            at = self._pieces.index(piece)
            self._pieces[at : at + 1] = [self._begin([entry]) for entry in piece.entries]
        else:
            [entry] = piece.entries
            fault = f"the process that scored it ended, {piece.losses} times"
            self._pieces[self._pieces.index(piece)] = self._begin([entry._replace(fault=fault)])

    def _begin(self, entries: Sequence[Entry]) -> _Piece[T]:
        return _Piece(entries, self._workers.begin(entries))
