"""What runs on the machines of a Ray cluster: an inspector, loaded once per process.

Ray imports this module there by its name, so Sihwa must be installed there too.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import sihwa
from sihwa.errors import ClusterError, SihwaError
from sihwa.images import split_member
from sihwa.inspector import Bundle, RuntimeChoice, Verification, open_bundle
from sihwa.scoring.block import Entry, score_block
from sihwa.scoring.options import ScoreOptions
from sihwa.scoring.pipeline import blocks_of
from sihwa.scoring.rows import Row, file_of_row


@dataclass(frozen=True)
class Job:
    """What all of a run has in common; sent to each machine once.

    Attributes:
        version: Of the program that sends it.
        folder: Where that was started: what relative paths are relative to.
        bundle: The inspector.
        verification: What was verified of it where it lies.
        device: `cpu` or `cuda`: of several cards, Ray shows a process its own.
        threads: Of a worker process.
        options: How it scores.
    """

    version: str
    folder: str
    bundle: Bundle
    verification: Verification
    device: str
    threads: int
    options: ScoreOptions


class Said(NamedTuple):
    """What a worker says of its share."""

    rows: list[Row]
    unreadable: list[str]
    """Files that may not be read there, or are not there."""
    machine: str


Score = Callable[[Sequence[Entry]], list[Row]]
_loaded: dict[tuple[object, RuntimeChoice], Score] = {}


def load_choice(job: Sequence[Any], runtime: str, precision: str) -> tuple[RuntimeChoice, str]:
    """Load the inspector as asked for; return what that became, and why.

    Args:
        job: A list of one reference to the `Job`: so Ray does not send it with every share.
        runtime: A runtime's name, or `auto`.
        precision: A precision, or `auto`.

    Raises:
        SihwaError: This machine cannot do the work.
    """
    try:
        return _load(job[0], runtime, precision)
    except SihwaError as error:
        raise _named(error) from error


def score_share(job: Sequence[Any], choice: RuntimeChoice, entries: Sequence[Entry]) -> Said:
    """Score files; arguments as in `load_choice`, with the one choice that all rows have.

    Raises:
        SihwaError: This machine cannot do the work.
    """
    try:
        if (job[0], choice) not in _loaded:
            _load(job[0], choice.runtime, choice.precision)
        rows = _loaded[job[0], choice](entries)
    except SihwaError as error:
        raise _named(error) from error
    given = {entry.path for entry in entries if entry.fault is None}
    unread = (row for row in rows if row["sha256"] is None)
    files = {file_of_row(row["path"], row["path_bytes"], row["page"]) for row in unread}  # type: ignore[arg-type]
    return Said(rows, [file for file in files & given if not is_readable(file)], _machine())


def is_readable(file: str) -> bool:
    """Say whether this process may read a file, or the archive that it lies in."""
    inside = split_member(file)
    return os.access(inside[0] if inside else file, os.R_OK)


def _load(reference: Any, runtime: str, precision: str) -> tuple[RuntimeChoice, str]:  # noqa: ANN401
    import ray

    job: Job = ray.get(reference)
    if job.version != sihwa.__version__:
        raise ClusterError(
            f"Sihwa {sihwa.__version__} is installed, and {job.version} sent the work: install "
            "one version on all machines"
        )
    try:
        os.chdir(job.folder)
    except OSError as error:
        raise ClusterError(
            f"no folder {job.folder}, where the command was started: start it in one that all "
            f"machines have ({error.strerror})"
        ) from error
    inspector = open_bundle(
        job.bundle,
        job.verification,
        runtime,
        job.device,
        precision,
        threads=1,
        batch_size=job.options.batch_size,
    )
    score = partial(
        score_block,
        inspector,
        options=job.options.read,
        batch_size=job.options.batch_size,
        on_inspected=job.options.overlay_writer(),
    )
    choice = inspector.runtime.choice
    _loaded.clear()
    _loaded[reference, choice] = partial(_score_threaded, score, job)
    return choice, inspector.explanation


def _score_threaded(score: Score, job: Job, entries: Sequence[Entry]) -> list[Row]:
    if job.threads == 1:
        return score(entries)
    with ThreadPoolExecutor(job.threads) as pool:
        return list(chain(*pool.map(score, blocks_of(entries, job.options.block_size))))


def _named(error: SihwaError) -> SihwaError:
    """Say on which machine it happened."""
    named = ClusterError(f"machine {_machine()}: {error}")
    named.exit_code = error.exit_code
    return named


def _machine() -> str:
    import ray

    return str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]
