from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sihwa.benchmark import timing
from sihwa.benchmark.timing import STAGES, Timer
from sihwa.images import decode_image, read_bytes
from sihwa.inspector import Inspector, Outputs
from tests.helpers import random_images, save_images
from tests.score_helpers import stub_inspector
from tests.unit.benchmark.stand_in import FakeClock, SlowRuntime

MS = 1_000_000


def slow_inspector(clock: FakeClock, ns: int) -> tuple[Inspector, SlowRuntime]:
    runtime = SlowRuntime(clock, ns)
    return Inspector(stub_inspector().card, runtime, "a stub"), runtime


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    """Five images of one size, the first pixel of each telling which it is."""
    images = random_images(5, 40, 30)
    images[:, 0, 0, 0] = range(5)
    return [str(path) for path in save_images(tmp_path, images)]


def test_time_files_each_stage_gets_its_own_time(
    paths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    inspector, _ = slow_inspector(clock, 7 * MS)
    interpret = inspector.interpret

    def after(ns: int, work: Callable[..., object]) -> Callable[..., object]:
        def timed(*given: object) -> object:
            clock.now += ns
            return work(*given)

        return timed

    timer = Timer(inspector, paths, clock)
    monkeypatch.setattr(timing, "read_bytes", after(1 * MS, read_bytes))
    monkeypatch.setattr(timing, "decode_image", after(2 * MS, decode_image))
    monkeypatch.setattr(inspector, "interpret", after(3 * MS, interpret))
    assert timer.time_files(4) == {
        "read": [1 * MS] * 4,
        "decode": [2 * MS] * 4,
        "infer": [7 * MS] * 4,
        "decide": [3 * MS] * 4,
    }


def test_time_model_images_take_turns_over_calls(paths: list[str]) -> None:
    clock = FakeClock()
    inspector, runtime = slow_inspector(clock, 5 * MS)
    timer = Timer(inspector, paths, clock)
    assert timer.time_model(3) + timer.time_model(4) == [5 * MS] * 7
    assert runtime.seen == [0, 1, 2, 3, 4, 0, 1]


def test_time_files_images_take_turns_over_calls(paths: list[str]) -> None:
    clock = FakeClock()
    inspector, runtime = slow_inspector(clock, MS)
    timer = Timer(inspector, paths, clock)
    timer.time_files(3)
    timer.time_files(3)
    assert runtime.seen == [0, 1, 2, 3, 4, 0]


def test_time_model_a_stall_counts(paths: list[str]) -> None:
    clock = FakeClock()
    inspector, runtime = slow_inspector(clock, MS)
    run = runtime.run

    def stalling(image: NDArray[np.uint8]) -> Outputs:
        clock.now += 500 * MS if len(runtime.seen) == 2 else 0
        return run(image)

    runtime.run = stalling  # type: ignore[method-assign]
    assert Timer(inspector, paths, clock).time_model(4) == [MS, MS, 501 * MS, MS]


def test_time_batches_runs_whole_batches_for_the_time(paths: list[str]) -> None:
    clock = FakeClock()
    inspector, runtime = slow_inspector(clock, 10 * MS)
    found = Timer(inspector, paths, clock).time_batches(4, 0.1)
    assert found == {"images": 12, "ns": 120 * MS}
    assert [shape[0] for shape in runtime.batches] == [4, 4, 4, 4]  # the first one untimed
    assert len(set(runtime.seen)) > 1


def test_time_batches_go_through_all_the_images(paths: list[str]) -> None:
    clock = FakeClock()
    inspector, runtime = slow_inspector(clock, 10 * MS)
    Timer(inspector, paths, clock).time_batches(1, 0.1)
    assert runtime.seen[:6] == [0, 1, 2, 3, 4, 0]


def test_time_batches_at_least_one(paths: list[str]) -> None:
    clock = FakeClock()
    inspector, _ = slow_inspector(clock, 1000 * MS)
    assert Timer(inspector, paths, clock).time_batches(2, 0.0)["images"] == 2


def test_time_batches_are_of_the_most_common_size(tmp_path: Path) -> None:
    few = save_images(tmp_path, random_images(1, 20, 20), "a")
    many = save_images(tmp_path, random_images(3, 30, 40), "b")
    clock = FakeClock()
    inspector, runtime = slow_inspector(clock, MS)
    Timer(inspector, [str(path) for path in few + many], clock).time_batches(5, 0.0)
    assert set(runtime.batches) == {(5, 30, 40, 3)}


def test_time_overhead_is_what_reading_the_clock_takes(paths: list[str]) -> None:
    clock = FakeClock(tick=100)
    inspector, runtime = slow_inspector(clock, 5 * MS)
    assert Timer(inspector, paths, clock).time_overhead(3) == [len(STAGES) * 100] * 3
    assert runtime.seen == []


def test_time_device_without_events_is_none(paths: list[str]) -> None:
    clock = FakeClock()
    inspector, _ = slow_inspector(clock, MS)
    assert Timer(inspector, paths, clock).time_device(2) is None


def test_time_device_asks_the_runtime(paths: list[str]) -> None:
    clock = FakeClock()
    inspector, runtime = slow_inspector(clock, MS)
    runtime.device_ns = lambda image: int(image[0, 0, 0, 0]) * MS  # type: ignore[attr-defined]
    assert Timer(inspector, paths, clock).time_device(3) == [0, MS, 2 * MS]


def test_timer_keeps_no_more_images_than_fit(
    paths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "POOL_BYTES", 2 * 40 * 30 * 3)
    clock = FakeClock()
    inspector, runtime = slow_inspector(clock, MS)
    timer = Timer(inspector, paths, clock)
    timer.time_model(3)
    assert runtime.seen == [0, 1, 0]
    assert timer.kept_bytes == 2 * 40 * 30 * 3


def test_stages_add_up_to_the_clock(paths: list[str]) -> None:
    inspector = stub_inspector()
    stages = Timer(inspector, paths).time_files(5)
    assert np.array(list(stages.values())).shape == (len(STAGES), 5)
    assert all(span > 0 for spans in stages.values() for span in spans)
