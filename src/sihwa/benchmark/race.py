"""All variants in turns, so that whatever else the machine does hits all of them alike.

A round gives each variant one turn of each kind, in a new random order; a variant's samples are
those of all rounds. What fails is set aside with its reason, and the others go on.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from sihwa.benchmark.contestant import Contestant
from sihwa.benchmark.power import Meter
from sihwa.benchmark.timing import STAGES
from sihwa.benchmark.variant import LeftOut, Variant
from sihwa.errors import RuntimeUnavailable


@dataclass(frozen=True)
class Schedule:
    """How much is timed.

    Attributes:
        rounds: Turns of each variant and kind, at least 1.
        samples: Images timed one by one, all turns together; rounded up to equal turns.
        warm_up: Images before the first turn, of each kind; not counted.
        batches: Batch sizes; a batch turn lasts `batch_seconds` or one batch.
        batch_rounds: Turns of each batch size, at most `rounds`.
        batch_seconds: Least length of a batch turn.
        starts: How often each variant is started.
        seed: Of the order.
    """

    rounds: int = 20
    samples: int = 1000
    warm_up: int = 20
    batches: Sequence[int] = (1, 4, 16, 64)
    batch_rounds: int = 5
    batch_seconds: float = 0.2
    starts: int = 3
    seed: int = 0

    @property
    def samples_in_turn(self) -> int:
        """Images one by one in each turn."""
        return math.ceil(self.samples / self.rounds)

    @property
    def steps(self) -> int:
        """Turns of one variant, all in all."""
        return self.starts + 2 * self.rounds + len(self.batches) * self.batch_rounds


@dataclass
class Measured:
    """What was measured of one variant; times in ns, one list per turn.

    Attributes:
        variant: Which.
        start_s: Seconds from starting its process to its first decision, each time.
        files: By stage.
        model: The runtime alone.
        device: The work of the device by its own events; empty where it has none.
        batches: By size: one `images`, `ns` and `joules` (None: not told) per turn.
        overhead: Of timing itself, per image.
        memory: `first_mib` of the process after its first decision, `all_mib` the most at all.
        device_mib: What it added to the memory of its graphics card.
    """

    variant: Variant
    start_s: list[float] = field(default_factory=list)
    files: dict[str, list[list[int]]] = field(default_factory=lambda: {s: [] for s in STAGES})
    model: list[list[int]] = field(default_factory=list)
    device: list[list[int]] = field(default_factory=list)
    batches: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    overhead: list[list[int]] = field(default_factory=list)
    memory: dict[str, float | None] = field(default_factory=dict)
    device_mib: float | None = None

    @property
    def whole(self) -> list[list[int]]:
        """From file to decision, ns by turn."""
        turns = zip(*(self.files[stage] for stage in STAGES), strict=True)
        return [[sum(spans) for spans in zip(*turn, strict=True)] for turn in turns]


Advance = Callable[[int, str], None]
Memory = Callable[[str], float | None]


def run_race(
    contestants: Sequence[Contestant],
    course: Schedule,
    meters: dict[str, Meter],
    device_memory_mib: Memory,
    on_round: Callable[[int], None],
    advance: Advance,
) -> tuple[list[Measured], list[LeftOut]]:
    """Time all contestants; return what was measured, and what failed on the way.

    Args:
        contestants: In the order of the results; closed at the end, whatever happens.
        course: How much.
        meters: By device.
        device_memory_mib: Memory in use on a device, None where nobody tells.
        on_round: Called before each round, with its number.
        advance: Called after each turn, with the number of turns and the variant.
    """
    race = _Race(contestants, course, meters, advance)
    try:
        for _ in range(course.starts):
            race.each(partial(_start, device_memory_mib))
        race.each(partial(_warm_up, course.warm_up), steps=0)
        for number in range(course.rounds):
            on_round(number)
            race.each(partial(_time_files, course.samples_in_turn))
            race.each(partial(_time_model, course.samples_in_turn))
            for size in course.batches if number < course.batch_rounds else ():
                race.each(partial(race.time_batches, size))
        race.each(_finish, steps=0)
    finally:
        for contestant in contestants:
            contestant.close()
    return race.measured, race.left_out


Turn = Callable[[Contestant, Measured], None]


class _Race:
    def __init__(
        self,
        contestants: Sequence[Contestant],
        course: Schedule,
        meters: dict[str, Meter],
        advance: Advance,
    ) -> None:
        self._running = [(one, Measured(one.variant)) for one in contestants]
        self._course = course
        self._meters = meters
        self._advance = advance
        self._rng = np.random.default_rng(course.seed)
        self.left_out: list[LeftOut] = []

    @property
    def measured(self) -> list[Measured]:
        return [measured for _, measured in self._running]

    def each(self, turn: Turn, steps: int = 1) -> None:
        """Give each variant that still runs its turn, in a new order."""
        for one, measured in self._shuffled():
            try:
                turn(one, measured)
            except RuntimeUnavailable as error:
                one.close()
                self.left_out.append(LeftOut(str(one.variant), str(error)))
                self._running = [pair for pair in self._running if pair[0] is not one]
            self._advance(steps, str(one.variant))

    def time_batches(self, size: int, one: Contestant, measured: Measured) -> None:
        meter = self._meters[one.variant.choice.device]
        before = meter()
        answer = one.ask("batches", size=size, seconds=self._course.batch_seconds)
        after = meter()
        joules = None if before is None or after is None else after - before
        measured.batches.setdefault(size, []).append({**answer, "joules": joules})

    def _shuffled(self) -> Iterator[tuple[Contestant, Measured]]:
        order = self._rng.permutation(len(self._running))
        return iter([self._running[place] for place in order])


def _start(device_memory_mib: Memory, one: Contestant, measured: Measured) -> None:
    one.close()
    before = device_memory_mib(one.variant.choice.device)
    measured.start_s.append(one.start())
    after = device_memory_mib(one.variant.choice.device)
    measured.device_mib = None if before is None or after is None else after - before


def _warm_up(count: int, one: Contestant, _: Measured) -> None:
    one.ask("files", count=count)
    one.ask("model", count=count)


def _time_files(count: int, one: Contestant, measured: Measured) -> None:
    for stage, spans in one.ask("files", count=count).items():
        measured.files[stage].append(spans)


def _time_model(count: int, one: Contestant, measured: Measured) -> None:
    measured.model.append(one.ask("model", count=count))
    measured.overhead.append(one.ask("overhead", count=count))
    if one.variant.choice.kind != "cpu":
        device = one.ask("device", count=count)
        if device is not None:
            measured.device.append(device)


def _finish(one: Contestant, measured: Measured) -> None:
    measured.memory = one.ask("memory")
