from collections.abc import Callable
from pathlib import Path

import pytest

from sihwa.benchmark import timing
from sihwa.benchmark.timing import STAGES, Timer
from sihwa.inspector import Inspector
from tests.helpers import random_images, save_images
from tests.score_helpers import stub_inspector
from tests.unit.benchmark.stand_in import FakeClock, SlowRuntime

MS = 1_000_000


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    """Five images of one size, whose first pixel is their number."""
    images = random_images(5, 40, 30)
    images[:, 0, 0, 0] = range(5)
    return [str(path) for path in save_images(tmp_path, images)]


def slow_timer(paths: list[str], ns: int = MS, tick: int = 0) -> tuple[Timer, SlowRuntime]:
    """Return a timer on a runtime that takes so many ns an image."""
    runtime = SlowRuntime(FakeClock(tick), ns)
    return Timer(Inspector(stub_inspector().card, runtime, "a stub"), paths, runtime.clock), runtime


def test_time_files_each_stage_gets_its_own_time(
    paths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    timer, runtime = slow_timer(paths, 7 * MS)

    def slow_down(place: object, name: str, ns: int) -> None:
        work: Callable[..., object] = getattr(place, name)

        def timed(*given: object) -> object:
            runtime.clock.now += ns
            return work(*given)

        monkeypatch.setattr(place, name, timed)

    slow_down(timing, "read_bytes", 1 * MS)
    slow_down(timing, "decode_image", 2 * MS)
    slow_down(timer._inspector, "interpret", 3 * MS)
    assert timer.time_files(4) == {
        "read": [1 * MS] * 4,
        "decode": [2 * MS] * 4,
        "infer": [7 * MS] * 4,
        "decide": [3 * MS] * 4,
    }


def test_timer_images_take_turns_over_calls(paths: list[str]) -> None:
    timer, runtime = slow_timer(paths)
    assert timer.time_model(3) + timer.time_model(4) == [MS] * 7
    assert runtime.seen == [0, 1, 2, 3, 4, 0, 1]
    timer.time_files(3)
    timer.time_files(3)
    assert runtime.seen[7:] == [0, 1, 2, 3, 4, 0]


@pytest.mark.parametrize(
    ("size", "seconds", "images"),
    [
        pytest.param(4, 0.1, 12, id="whole batches for that long"),
        pytest.param(2, 0.0, 2, id="at least one"),
    ],
)
def test_time_batches_after_one_untimed(
    size: int, seconds: float, images: int, paths: list[str]
) -> None:
    timer, runtime = slow_timer(paths, 10 * MS)
    assert timer.time_batches(size, seconds) == {"images": images, "ns": images * 10 * MS}
    assert [shape[0] for shape in runtime.batches] == [size] * (1 + images // size)


def test_time_batches_go_through_all_images(paths: list[str]) -> None:
    timer, runtime = slow_timer(paths, 10 * MS)
    timer.time_batches(1, 0.1)
    assert runtime.seen[:6] == [0, 1, 2, 3, 4, 0]


def test_time_batches_are_of_the_most_common_size(paths: list[str], tmp_path: Path) -> None:
    few = save_images(tmp_path, random_images(1, 20, 20), "a")
    timer, runtime = slow_timer([*map(str, few), *paths])
    timer.time_batches(5, 0.0)
    assert set(runtime.batches) == {(5, 40, 30, 3)}


def test_time_overhead_is_what_reading_the_clock_takes(paths: list[str]) -> None:
    timer, runtime = slow_timer(paths, tick=100)
    assert timer.time_overhead(3) == [len(STAGES) * 100] * 3
    assert runtime.seen == []


def test_time_device_is_of_the_events_of_the_runtime(paths: list[str]) -> None:
    timer, runtime = slow_timer(paths)
    assert timer.time_device(2) is None  # it has none
    runtime.device_ns = lambda image: int(image[0, 0, 0, 0]) * MS  # type: ignore[attr-defined]
    assert timer.time_device(3) == [0, MS, 2 * MS]


def test_timer_keeps_no_more_images_than_fit(
    paths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "POOL_BYTES", 2 * 40 * 30 * 3)
    timer, runtime = slow_timer(paths)
    timer.time_model(3)
    assert runtime.seen == [0, 1, 0]
    assert timer.kept_bytes == 2 * 40 * 30 * 3
