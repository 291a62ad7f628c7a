"""The same scoring on the machines of a Ray cluster.

This process lists, keeps the ledger and alone writes the table; workers read images and give
rows back. Why so, and why not with Ray Data: docs/decisions/0012-one-writer-many-machines.md.
"""

import contextlib
import logging
import os
import socket
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from threading import Event
from types import ModuleType
from typing import Any

import sihwa
from sihwa.errors import ClusterError, ConfigError, PackageMissing, SihwaError
from sihwa.inspector import Bundle, RuntimeChoice, Verification, read_bundle, read_verification
from sihwa.scoring.block import Entry
from sihwa.scoring.engine import Scored
from sihwa.scoring.options import ScoreOptions
from sihwa.scoring.ray_worker import Job, Said, is_readable, load_choice, score_share
from sihwa.scoring.rows import Row
from sihwa.scoring.shares import CHANCES, Lost, score_on_workers

_WAIT_SECONDS = 0.2
"""How soon a signal is heeded."""
_REACH_SECONDS = 5.0
_COUNT_SECONDS = 5.0
"""How soon a machine that joined the cluster gets work."""


@contextlib.contextmanager
def ray_engine(
    inspector: Path,
    options: ScoreOptions,
    address: str | None = None,
    runtime: str = "auto",
    device: str = "auto",
    precision: str = "auto",
) -> Iterator["RayEngine"]:
    """Connect to a cluster, load the inspector on one of its machines, and yield the engine.

    Args:
        inspector: The inspector folder, or its .onnx file; sent to the machines.
        options: How to score.
        address: HOST:PORT of the cluster, which this machine is part of. Without it, that of the
            variable RAY_ADDRESS; else one that runs on this machine; else one of this machine
            alone is started, and ends here.
        runtime: As in `load_inspector`. What is `auto` is decided on the first machine that is
            free, and holds for all.
        device: `cpu`, `cuda`, or `auto`: `cuda` where the cluster has such cards.
        precision: As `runtime`.

    Raises:
        PackageMissing: Ray is not installed.
        ClusterError: The cluster cannot be reached, or cannot do the work.
        SihwaError: As `load_inspector`.
    """
    ray = _import_ray()
    bundle = read_bundle(inspector)
    verification = read_verification(inspector, bundle)
    with _connected(ray, address):
        yield RayEngine(ray, bundle, verification, options, runtime, device, precision)


class RayEngine:
    """See `sihwa.scoring.engine.Engine`.

    Attributes:
        explanation: What the machines run the inspector with, and why, for people.
        places: How many processes do the work, for people.
    """

    def __init__(
        self,
        ray: ModuleType,
        bundle: Bundle,
        verification: Verification,
        options: ScoreOptions,
        runtime: str,
        device: str,
        precision: str,
    ) -> None:
        self.card = bundle.card
        machines = _Machines(ray, device, options.workers)
        job = Job(
            sihwa.__version__,
            str(Path.cwd()),
            bundle,
            verification,
            machines.device,
            machines.threads,
            options,
        )
        self._workers = _RayWorkers(ray, machines, job)
        self.choice, self.explanation = self._workers.choose(runtime, precision)
        self.places = str(machines)
        self.block_size = machines.threads * options.block_size

    @property
    def lost(self) -> int:
        """How often work was lost with its process, and done again."""
        return self._workers.lost

    def score(self, blocks: Iterable[list[Entry]], stop: Event) -> Generator[Scored, None, None]:
        """See `Engine`."""
        return score_on_workers(self._workers, blocks, stop)


class _Machines:
    """The machines of the cluster, and which of their cores and cards a worker process gets."""

    def __init__(self, ray: ModuleType, device: str, workers: int) -> None:
        if device not in ("auto", "cpu", "cuda"):
            raise ConfigError(
                f"--device must be auto, cpu or cuda with --engine ray, which shares the cards of "
                f"each machine out; got {device!r}"
            )
        self._ray = ray
        given = self._alive()
        has_cards = any(machine.get("GPU", 0) >= 1 for machine in given)
        self.device = ("cuda" if has_cards else "cpu") if device == "auto" else device
        self.threads = workers or (1 if self.device == "cpu" else _cores_per_card(given))
        self._counted: tuple[float, int] | None = None
        if not self.count():
            card = " and a GPU" if self.device == "cuda" else ""
            raise ClusterError(
                f"--engine ray: expected a machine with {self.threads} cores{card}, got "
                f"{', '.join(map(_in_words, given)) or 'none'}. Lower --workers, or change --device"
            )

    def __str__(self) -> str:
        """Say what they are, for people."""
        card = ", a GPU each" if self.device == "cuda" else ""
        return f"{self.count()} worker processes of {self.threads} threads on Ray{card}"

    @property
    def share(self) -> dict[str, int]:
        """What Ray reserves for a worker process while it works."""
        return {"num_cpus": self.threads, "num_gpus": int(self.device == "cuda")}

    def count(self) -> int:
        """Return how many worker processes have room, looked up every few seconds."""
        now = time.monotonic()
        if self._counted is None or now - self._counted[0] > _COUNT_SECONDS:
            self._counted = now, sum(map(self._room_in, self._alive()))
        return self._counted[1]

    def _room_in(self, machine: dict[str, float]) -> int:
        room = int(machine.get("CPU", 0) // self.threads)
        return room if self.device == "cpu" else min(room, int(machine.get("GPU", 0)))

    def _alive(self) -> list[dict[str, float]]:
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]


def _cores_per_card(machines: Sequence[dict[str, float]]) -> int:
    shares = [m.get("CPU", 0) // m["GPU"] for m in machines if m.get("GPU", 0) >= 1]
    return max(1, int(min(shares, default=1)))


def _in_words(machine: dict[str, float]) -> str:
    return f"{machine.get('CPU', 0):.0f} cores and {machine.get('GPU', 0):.0f} GPUs"


class _RayWorkers:
    """Processes of the cluster; work that was begun is Ray's reference to what it will give.

    Ray itself begins nothing again (`max_retries=0`): whatever is lost is seen here, and counted.
    """

    def __init__(self, ray: ModuleType, machines: _Machines, job: Job) -> None:
        self._ray = ray
        self.lost = 0
        self._job = [ray.put(job)]
        self._load = ray.remote(**machines.share, max_retries=0)(load_choice)
        self._score = ray.remote(**machines.share, max_retries=0)(score_share)
        self.count = machines.count

    def choose(self, runtime: str, precision: str) -> tuple[RuntimeChoice, str]:
        """Let one process load the inspector, and hold to what it took."""
        for _ in range(CHANCES):
            with contextlib.suppress(Lost):
                choice, why = self._get(self._load.remote(self._job, runtime, precision))
                self._choice = choice
                return choice, why
        raise ClusterError(f"the process that loads the inspector ended, {CHANCES} times")

    def begin(self, entries: Sequence[Entry]) -> Any:  # noqa: ANN401 -- Ray's reference
        return self._score.remote(self._job, self._choice, entries)

    def wait(self, begun: Sequence[Any]) -> Sequence[Any]:
        done, _ = self._ray.wait(list(begun), timeout=_WAIT_SECONDS)
        if done:  # others may be done as well
            done, _ = self._ray.wait(list(begun), num_returns=len(begun), timeout=0)
        return list(done)

    def rows(self, done: Any) -> list[Row]:  # noqa: ANN401
        said: Said = self._get(done)
        hidden = next(filter(is_readable, said.unreadable), None)
        if hidden is not None:
            raise ClusterError(
                f"machine {said.machine} cannot read {hidden!r}, which this one can: all machines "
                "need the images under the same path. Mend that, and go on with --resume"
            )
        return said.rows

    def drop(self, begun: Sequence[Any]) -> None:
        for reference in begun:
            self._ray.cancel(reference)

    def _get(self, reference: Any) -> Any:  # noqa: ANN401
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except errors.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, SihwaError):
                raise cause from None
            raise ClusterError(
                f"a worker failed: {_last_line(cause or error)}. Each machine needs the same "
                "Sihwa and the same packages"
            ) from error
        except (
            errors.WorkerCrashedError,
            errors.NodeDiedError,
            errors.LocalRayletDiedError,
            errors.OutOfMemoryError,
            errors.ObjectLostError,
        ) as error:
            self.lost += 1
            raise Lost from error
        except errors.RayError as error:
            raise ClusterError(f"Ray: {_last_line(error)}") from error


def _import_ray() -> ModuleType:
    try:
        import ray
    except ModuleNotFoundError as error:
        raise PackageMissing(
            f'--engine ray needs {error.name}, which is not installed: pip install "sihwa[ray]"'
        ) from error
    return ray


@contextlib.contextmanager
def _connected(ray: ModuleType, address: str | None) -> Iterator[None]:
    if ray.is_initialized():  # by the program that calls this
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS") or None
    if address not in (None, "auto", "local"):
        _reach(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError, AssertionError) as error:
        raise ClusterError(
            f"--address {address}: {_last_line(error)}. This machine must be part of the cluster: "
            "ray start --address=HOST:PORT"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Knock at the address: Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or "/" in host:
        raise ConfigError(
            f"--address must be HOST:PORT, as `ray start --head` prints it, auto or local; got "
            f"{address!r}"
        )
    try:
        socket.create_connection((host, int(port)), _REACH_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(
            f"--address {address}: nothing answers there ({error}). Start a cluster with: "
            "ray start --head"
        ) from error


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:200]
