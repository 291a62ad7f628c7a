"""What does the work of a run: blocks of files in, rows out.

An engine knows nothing of the table. Which files need rows, where rows are written and what is
counted is the same for threads of this process and for a cluster.
"""

from collections.abc import Generator, Iterable
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple, Protocol

from sihwa.images import available_cores
from sihwa.inspector import Card, Inspector, RuntimeChoice
from sihwa.scoring.block import Entry, score_block
from sihwa.scoring.options import ScoreOptions
from sihwa.scoring.overlays import OverlayWriter
from sihwa.scoring.pipeline import run_in_order
from sihwa.scoring.rows import Row


class Scored(NamedTuple):
    """What an engine has done since it last yielded."""

    files: int
    rows: list[Row]
    """More than files, if some have pages."""


class Engine(Protocol):
    """Scores blocks of files."""

    @property
    def card(self) -> Card:
        """The card of its inspector."""
        ...

    @property
    def choice(self) -> RuntimeChoice:
        """Runtime, device and precision, the same for every row."""
        ...

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
        self._inspector = inspector
        self._options = options
        # one more than cores: while one waits for Python's lock, another has its core
        self._workers = options.workers or available_cores() + 1

    def score(
        self, blocks: Iterable[list[Entry]], evidence: Path, stop: Event
    ) -> Generator[Scored, None, None]:
        """See `Engine`."""
        work = partial(
            _score,
            inspector=self._inspector,
            options=self._options.read,
            batch_size=self._options.batch_size,
            on_inspected=overlay_writer(evidence, self._options),
        )
        return run_in_order(blocks, work, self._workers, stop)


def overlay_writer(evidence: Path, options: ScoreOptions) -> OverlayWriter | None:
    """Return what draws the overlays that were asked for, if any."""
    return OverlayWriter(evidence, options.evidence) if options.evidence else None


def _score(entries: list[Entry], **given: Any) -> Scored:  # noqa: ANN401
    return Scored(len(entries), score_block(entries=entries, **given))
