"""All variants take turns, so that other load on the machine slows all of them alike.

A round gives each variant one turn of each kind, in a new random order; a variant's samples are
those of all rounds. A variant that fails is left out with its reason, and the others continue.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np

from sihwa.benchmark.environment import Gpu
from sihwa.benchmark.timing import STAGES, Timed
from sihwa.benchmark.variant import LeftOut
from sihwa.benchmark.worker_process import Worker
from sihwa.errors import RuntimeUnavailable
from sihwa.inspector.strict_json import Facts


class Schedule(Facts, frozen=True, kw_only=True):
    """How much is timed.

    Attributes:
        rounds: Turns of each variant and kind, at least 1.
        samples_per_turn: Images timed one by one in each turn.
        warm_up: Images before the first turn, of each kind; not counted.
        batches: Batch sizes.
        batch_rounds: Turns of each batch size, at most `rounds`.
        batch_seconds: Least length of a batch turn, which is at least one batch.
        starts: How often each variant is started.
        seed: Of the order and of the intervals.
    """

    rounds: int = 20
    samples_per_turn: int = 50
    warm_up: int = 20
    batches: tuple[int, ...] = (1, 4, 16, 64)
    batch_rounds: int = 5
    batch_seconds: float = 0.2
    starts: int = 3
    seed: int = 0

    @property
    def steps(self) -> int:
        """Turns of one variant, all in all."""
        return self.starts + 2 * self.rounds + len(self.batches) * self.batch_rounds


MemoryFigure = Literal["first_decision_mib", "peak_mib", "device_mib"]


class BatchTurn(Facts, frozen=True):
    """What one turn of batches took; joules are of a GPU that reports them."""

    images: int
    ns: int
    joules: float | None


@dataclass(eq=False)
class Measurement:
    """One variant and what was measured of it.

    `start_s` is from starting the process to its first decision. `memory` is of the process, and
    `device_mib` what it added to the memory of its GPU; None is not reported.
    """

    worker: Worker
    gpu: Gpu | None = None
    start_s: list[float] = field(default_factory=list)
    spans: dict[Timed, list[list[int]]] = field(default_factory=lambda: defaultdict(list))
    """In ns, one list per turn."""
    batches: dict[int, list[BatchTurn]] = field(default_factory=lambda: defaultdict(list))
    memory: dict[MemoryFigure, float | None] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the variant."""
        return str(self.worker.variant)

    @property
    def whole(self) -> list[list[int]]:
        """From file to decision, ns by turn."""
        turns = zip(*(self.spans[stage] for stage in STAGES), strict=True)
        return [[sum(spans) for spans in zip(*turn, strict=True)] for turn in turns]

    def start(self) -> None:
        """Start the process, anew if it runs."""
        self.worker.close()
        before = self.gpu.used_mib() if self.gpu else None
        self.start_s.append(self.worker.start())
        after = self.gpu.used_mib() if self.gpu else None
        self.memory["device_mib"] = _difference(before, after)

    def warm_up(self, count: int) -> None:
        """Run files and model, and keep no times."""
        self.worker.ask("files", count=count)
        self.worker.ask("model", count=count)

    def time_files(self, count: int) -> None:
        """Time images from file to decision."""
        for stage, spans in self.worker.ask("files", count=count).items():
            self.spans[stage].append(spans)

    def time_model(self, count: int) -> None:
        """Time the runtime alone, timing itself, and the work of a GPU."""
        self.spans["model"].append(self.worker.ask("model", count=count))
        self.spans["overhead"].append(self.worker.ask("overhead", count=count))
        if self.worker.variant.choice.kind != "cpu":
            spans = self.worker.ask("device", count=count)
            if spans is not None:
                self.spans["device_part"].append(spans)

    def time_batches(self, size: int, seconds: float) -> None:
        """Time batches of one size, and read the energy that they took."""
        before = self.gpu.joules() if self.gpu else None
        answer = self.worker.ask("batches", size=size, seconds=seconds)
        joules = _difference(before, self.gpu.joules() if self.gpu else None)
        self.batches[size].append(BatchTurn(answer["images"], answer["ns"], joules))


def take_turns(
    workers: Sequence[Worker],
    schedule: Schedule,
    gpus: Mapping[str, Gpu],
    on_round: Callable[[int], None],
    advance: Callable[[int, str], None],
) -> tuple[list[Measurement], list[LeftOut]]:
    """Time all variants and close the workers; return what was measured, and what failed.

    `on_round` gets the number of a round before it; `advance` gets after each turn how many turns
    were done and the variant's name.
    """
    rng = np.random.default_rng(schedule.seed)
    running = [Measurement(one, gpus.get(one.variant.choice.device)) for one in workers]
    failed: list[LeftOut] = []

    def each(turn: Callable[[Measurement], None], steps: int = 1) -> None:
        for one in [running[place] for place in rng.permutation(len(running))]:
            try:
                turn(one)
            except RuntimeUnavailable as error:
                one.worker.close()
                failed.append(LeftOut(one.name, str(error)))
                running.remove(one)
            advance(steps, one.name)

    count = schedule.samples_per_turn
    try:
        for _ in range(schedule.starts):
            each(Measurement.start)
        each(lambda one: one.warm_up(schedule.warm_up), steps=0)
        for number in range(schedule.rounds):
            on_round(number)
            each(lambda one: one.time_files(count))
            each(lambda one: one.time_model(count))
            for size in schedule.batches if number < schedule.batch_rounds else ():
                each(partial(Measurement.time_batches, size=size, seconds=schedule.batch_seconds))
        each(lambda one: one.memory.update(one.worker.ask("memory")), steps=0)
    finally:
        for worker in workers:
            worker.close()
    return running, failed


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before
