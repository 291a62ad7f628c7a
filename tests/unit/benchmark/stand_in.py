"""A clock, runtimes and a device that exist only in tests; their times are known beforehand."""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sihwa.benchmark.environment import Gpu
from sihwa.benchmark.timing import STAGES, Timer
from sihwa.benchmark.variant import Variant
from sihwa.benchmark.worker_process import Worker
from sihwa.errors import RuntimeUnavailable
from sihwa.inspector import Inspector, Outputs, RuntimeChoice, create_runtime, read_bundle
from tests.score_helpers import StubRuntime

Images = NDArray[np.uint8]


class FakeClock:
    """Stands still until a stub works; a reading itself takes `tick` ns."""

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


class StandInWorker(Worker):
    """Answers at once that it took `ns` an image; the device part is half of it."""

    def __init__(self, which: Variant, ns: int = 1_000_000, log: list[str] | None = None) -> None:
        super().__init__(which, Path(), [])
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
            "memory": lambda: {"first_decision_mib": 100.0, "peak_mib": 200.0},
        }
        return answers[kind]()

    def _note(self, kind: str) -> None:
        self.log.append(f"{self.variant.choice.runtime} {kind}")
        if kind == self.fails_at:
            raise RuntimeUnavailable("its process ended: out of memory (exit code -9)")


class InProcess(StandInWorker):
    """A worker whose timer is a real one, in this process."""

    def __init__(self, which: Variant, inspector: Path, paths: Sequence[str]) -> None:
        super().__init__(which)
        bundle = read_bundle(inspector)
        runtime = create_runtime(bundle, which.choice, which.threads)
        self._timer = Timer(Inspector(bundle.card, runtime, ""), paths)

    def ask(self, kind: str, **request: float) -> Any:  # noqa: ANN401 -- as JSON has it
        if kind == "memory":
            return super().ask(kind)
        return getattr(self._timer, f"time_{kind}")(**request)


class FakeGpu(Gpu):
    """Every reading is 100 more than the one before."""

    def __init__(self) -> None:
        super().__init__(None)
        self._readings = itertools.count(0.0, 100.0)

    def joules(self) -> float:
        return next(self._readings)

    used_mib = joules
