"""The same scoring on the machines of a Ray cluster, as Ray Data jobs.

This process lists the files, and it alone writes the table. A job maps blocks of files to rows on
a pool of actors, each with its own copy of the inspector. Ray Data skips the blocks of an actor
that died; they are tried again, at last file by file, so an image that crashes its worker costs
one row and not the run. See docs/decisions/0011-scoring-on-many-machines.md.
"""

import contextlib
import os
import pickle
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from threading import Event
from types import ModuleType
from typing import Any

import sihwa
from sihwa.errors import ConfigError, RuntimeUnavailable, SihwaError
from sihwa.images import split_member
from sihwa.inspector import (
    Bundle,
    Inspector,
    RuntimeChoice,
    Verification,
    open_bundle,
    read_bundle,
    read_verification,
    unread,
)
from sihwa.scoring.block import Entry, blocks_of
from sihwa.scoring.engine import Scored, block_scorer
from sihwa.scoring.options import ScoreOptions
from sihwa.scoring.ray_cluster import as_sihwa_error, connected, import_ray, last_line
from sihwa.scoring.rows import Facts, Row, file_of_row, make_row

_BLOCKS_PER_JOB = 1000
"""Bounds what this process holds; a job starts its actors anew, which takes seconds."""
_DIED = "the worker process that reads it dies each time"


@dataclass(frozen=True)
class _Work:
    """What the actors of a run need; Ray sends it to each machine once."""

    version: str
    folder: str
    bundle: Bundle
    verification: Verification
    device: str
    threads: int
    options: ScoreOptions

    def load(self, runtime: str, precision: str) -> Inspector:
        """Load the inspector on the machine of the caller."""
        if self.version != sihwa.__version__:
            raise RuntimeUnavailable(
                f"Sihwa {sihwa.__version__} is installed on a machine, and {self.version} started "
                "the run: install one version on all machines"
            )
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise RuntimeUnavailable(
                f"a machine has no folder {self.folder}, where the command was started: start it "
                f"in a folder that all machines have ({error.strerror})"
            ) from error
        asked = RuntimeChoice(runtime, self.device, precision)
        batch_size = self.options.batch_size
        return open_bundle(self.bundle, self.verification, asked, threads=1, batch_size=batch_size)


class _Scorer:
    """An actor of the pool: it loads the inspector once, then scores blocks of files."""

    def __init__(self, work: Any, choice: RuntimeChoice, evidence: str) -> None:  # noqa: ANN401
        import ray

        self._work: _Work = ray.get(work[0])
        inspector = self._work.load(choice.runtime, choice.precision)
        self._score = block_scorer(inspector, self._work.options, Path(evidence))

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return for each block its pickled rows, or the error that ends the run."""
        done = [pickle.dumps(self._rows(pickle.loads(block))) for block in batch["entries"]]
        return {"number": batch["number"], "rows": done}

    def _rows(self, entries: Sequence[Entry]) -> list[Row] | SihwaError:
        try:
            with ThreadPoolExecutor(self._work.threads) as pool:
                blocks = blocks_of(entries, self._work.options.block_size)
                return list(chain(*pool.map(self._score, blocks)))
        except SihwaError as error:
            return error
        except Exception as error:
            return RuntimeUnavailable(
                f"a worker failed: {last_line(error)}. Each machine needs the same Sihwa and the "
                "same packages"
            )


@contextlib.contextmanager
def open_ray_engine(inspector: Path, options: ScoreOptions) -> Iterator["RayEngine"]:
    """Connect to a cluster, send it the inspector folder or .onnx file, and yield the engine.

    Without an `address`, it is the cluster of the variable RAY_ADDRESS; else one that runs on this
    machine; else one of this machine alone is started, and ends here. A `runtime` or `precision`
    of `auto` is decided once, on the first free machine.

    Raises:
        RuntimeUnavailable: Ray is not installed, or the cluster cannot be reached or do the work.
        SihwaError: As `load_inspector`.
    """
    ray = import_ray()
    bundle = read_bundle(inspector)
    verification = read_verification(inspector, bundle)
    with connected(ray, options.address):
        yield RayEngine(ray, bundle, verification, options)


class RayEngine:
    """See `Engine`; rows come in any order.

    For people, `explanation` tells what the machines run the inspector with and why, `places` how
    many workers there are, and `retried` how many blocks were tried again after a worker died.
    """

    def __init__(
        self, ray: ModuleType, bundle: Bundle, verification: Verification, options: ScoreOptions
    ) -> None:
        device, threads, count = plan_workers(ray.nodes(), options.device, options.workers)
        work = _Work(
            sihwa.__version__, str(Path.cwd()), bundle, verification, device, threads, options
        )
        self.card = bundle.card
        self.retried = 0
        self.places = f"{count} workers of {threads} threads on Ray"
        self._ray = ray
        self._count, self._threads = count, threads
        self._share = {"num_cpus": threads, "num_gpus": int(device == "cuda")}
        self._work = [ray.put(work)]  # in a list, Ray passes the reference and not the content
        load = ray.remote(**self._share)(_choose)
        try:
            self.choice, self.explanation = ray.get(
                load.remote(self._work, options.runtime, options.precision)
            )
        except ray.exceptions.RayError as error:
            raise as_sihwa_error(error) from None

    def score(
        self, blocks: Iterable[list[Entry]], evidence: Path, stop: Event
    ) -> Generator[Scored, None, None]:
        """See `Engine`."""
        for some in blocks_of(blocks, _BLOCKS_PER_JOB):
            # a worker gets a block for each of its threads at once
            joined = [list(chain(*group)) for group in blocks_of(some, self._threads)]
            lost = yield from self._run(joined, evidence, stop)
            self.retried += len(lost)
            lost = yield from self._run(lost, evidence, stop)  # a machine may have been lost
            alone = [[entry] for block in lost for entry in block]
            for [entry] in (yield from self._run(alone, evidence, stop)):
                row = make_row(
                    unread(_DIED), Facts(entry.path), self.card.classes, milliseconds=0.0,
                    inspector=self.card.id, thresholds=self.card.thresholds_id,
                )  # fmt: skip
                yield Scored(1, [row])
            if stop.is_set():
                return

    def _run(
        self, blocks: list[list[Entry]], evidence: Path, stop: Event
    ) -> Generator[Scored, None, list[list[Entry]]]:
        """Score blocks in one job; return those whose worker died."""
        waiting = dict(enumerate(blocks))
        if not blocks or stop.is_set():
            return []
        data = self._ray.data
        context = data.DataContext.get_current()
        context.enable_progress_bars = False
        context.max_errored_blocks = -1
        items = [{"number": n, "entries": pickle.dumps(block)} for n, block in waiting.items()]
        job = data.from_items(items, override_num_blocks=len(items)).map_batches(
            _Scorer,
            fn_constructor_args=(self._work, self.choice, str(evidence.absolute())),
            batch_size=None,
            compute=data.ActorPoolStrategy(
                min_size=1,
                max_size=self._count,
                initial_size=self._count,
                max_tasks_in_flight_per_actor=2 if len(blocks[0]) > 1 else 1,
            ),
            max_restarts=-1,
            max_task_retries=1,
            **self._share,
        )
        try:
            for batch in job.iter_batches(batch_size=None):
                for number, pickled in zip(batch["number"], batch["rows"], strict=True):
                    entries = waiting.pop(int(number))
                    yield Scored(len(entries), _checked(pickle.loads(pickled), entries))
                if stop.is_set():
                    return []
        except self._ray.exceptions.RayError as error:
            raise as_sihwa_error(error) from error
        return list(waiting.values())


def plan_workers(
    nodes: Sequence[dict[str, Any]], device: str, threads: int
) -> tuple[str, int, int]:
    """Return device, threads of each worker, and how many workers the cluster has room for.

    `nodes` are those of `ray.nodes()`. `auto` is `cuda` if the cluster has GPUs, one for each
    worker; 0 threads are one per worker, or a GPU's share of its machine's cores.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError(
            f"--device must be auto, cpu or cuda with --engine ray, which shares the GPUs of each "
            f"machine; got {device!r}"
        )
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    machines = [(int(one.get("CPU", 0)), int(one.get("GPU", 0))) for one in alive]
    if device == "auto":
        device = "cuda" if any(gpus for _, gpus in machines) else "cpu"
    if device == "cpu":
        threads = threads or 1
        count = sum(cores // threads for cores, _ in machines)
    else:
        shares = [cores // gpus for cores, gpus in machines if gpus]
        threads = threads or max(1, min(shares, default=1))
        count = sum(min(cores // threads, gpus) for cores, gpus in machines)
    if not count:
        found = ", ".join(f"{cores} cores and {gpus} GPUs" for cores, gpus in machines)
        raise RuntimeUnavailable(
            f"--engine ray: expected a machine with {threads} cores"
            f"{' and a GPU' if device == 'cuda' else ''}, got {found or 'none'}. Lower --workers, "
            "or change --device"
        )
    return device, threads, count


def _choose(work: Any, runtime: str, precision: str) -> tuple[RuntimeChoice, str]:  # noqa: ANN401
    import ray

    inspector = ray.get(work[0]).load(runtime, precision)
    return inspector.runtime.choice, inspector.explanation


def _checked(rows: list[Row] | SihwaError, entries: Sequence[Entry]) -> list[Row]:
    """Refuse what only a worker cannot read: that machine lacks the share with the images."""
    if isinstance(rows, SihwaError):
        raise rows
    given = {entry.path for entry in entries if entry.fault is None}
    for row in rows:
        if row["sha256"] is not None:
            continue
        file = file_of_row(row)
        inside = split_member(file)
        if file in given and os.access(inside[0] if inside else file, os.R_OK):
            raise RuntimeUnavailable(
                f"a machine cannot read {file!r}, which this one can: all machines need the images "
                "under the same path. Correct that, then add --resume"
            )
    return rows
