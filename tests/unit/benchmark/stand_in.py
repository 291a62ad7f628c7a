"""A clock, runtimes and a device that exist only in tests; their times are known beforehand."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sihwa.benchmark.timing import STAGES, Timer
from sihwa.benchmark.variant import Variant
from sihwa.errors import RuntimeUnavailable
from sihwa.inspector import Outputs, RuntimeChoice
from tests.score_helpers import StubRuntime

Images = NDArray[np.uint8]


class FakeClock:
    """Stands still until somebody works; a reading itself takes `tick` ns."""

    def __init__(self, tick: int = 0) -> None:
        self.now = 0
        self.tick = tick

    def __call__(self) -> int:
        self.now += self.tick
        return self.now


class SlowRuntime(StubRuntime):
    """A stub that takes so many ns an image on a fake clock."""

    def __init__(self, clock: FakeClock, ns: int) -> None:
        super().__init__()
        self.clock, self.ns = clock, ns
        self.seen: list[int] = []

    def run(self, image: Images) -> Outputs:
        self.clock.now += self.ns * len(image)
        self.seen.append(int(image[0, 0, 0, 0]))
        return super().run(image)


def variant(runtime: str = "fast", device: str = "cpu", threads: int = 1) -> Variant:
    return Variant(RuntimeChoice(runtime, device, "fp32"), threads)


class StandInContestant:
    """Answers at once that it took `ns` an image; on `cuda` the device part is half of it."""

    def __init__(self, which: Variant, ns: int = 1_000_000, log: list[str] | None = None) -> None:
        self.variant = which
        self.ns = ns
        self.log = [] if log is None else log
        self.fails_at: str | None = None
        self.is_open = False

    def start(self) -> float:
        self._note("start")
        self.is_open = True
        return 0.5

    def close(self) -> None:
        self.is_open = False

    def ask(self, kind: str, **request: float) -> Any:  # noqa: ANN401 -- as JSON has it
        self._note(kind)
        count = int(request.get("count", 0))
        answers: dict[str, Callable[[], Any]] = {
            "files": lambda: {stage: [self.ns] * count for stage in STAGES},
            "model": lambda: [self.ns] * count,
            "device": lambda: [self.ns // 2] * count,
            "overhead": lambda: [500] * count,
            "batches": lambda: {"images": int(request["size"]), "ns": self.ns},
            "memory": lambda: {"first_mib": 100.0, "all_mib": 200.0},
        }
        return answers[kind]()

    def _note(self, kind: str) -> None:
        self.log.append(f"{self.variant.choice.runtime} {kind}")
        if kind == self.fails_at:
            raise RuntimeUnavailable("its process ended: out of memory (exit code -9)")


class InProcess:
    """A contestant whose timer is a real one, in this process."""

    def __init__(self, which: Variant, timer: Timer) -> None:
        self.variant = which
        self._timer = timer

    def start(self) -> float:
        return 0.1

    def close(self) -> None:
        pass

    def ask(self, kind: str, **request: float) -> Any:  # noqa: ANN401 -- as JSON has it
        if kind == "memory":
            return {"first_mib": None, "all_mib": None}
        return getattr(self._timer, f"time_{kind}")(**request)


def flat(turns: Sequence[Sequence[int]]) -> list[int]:
    return [span for turn in turns for span in turn]
