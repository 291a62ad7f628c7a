from collections.abc import Callable

import numpy as np
import pytest

from sihwa.benchmark.turns import Measurement, Schedule, take_turns
from sihwa.benchmark.variant import LeftOut
from tests.unit.benchmark.stand_in import FakeGpu, StandInWorker, variant

SCHEDULE = Schedule(
    rounds=6,
    samples_per_turn=5,
    warm_up=2,
    batches=(1, 4),
    batch_rounds=3,
    batch_seconds=0.0,
    starts=2,
)


def timed(
    workers: list[StandInWorker],
    on_round: Callable[[int], None] = lambda _: None,
    advance: Callable[[int, str], None] = lambda *_: None,
) -> tuple[list[Measurement], list[LeftOut]]:
    return take_turns(workers, SCHEDULE, {"cuda:0": FakeGpu()}, on_round, advance)


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def workers(log: list[str]) -> list[StandInWorker]:
    return [StandInWorker(variant(name), log=log) for name in "abc"]


def test_take_turns_every_round_has_one_turn_of_each_variant_in_a_new_order(
    workers: list[StandInWorker], log: list[str]
) -> None:
    timed(workers)
    for kind in ("files", "model"):
        turns = [line[0] for line in log if line.endswith(f" {kind}")][3:]  # without the warm-up
        rounds = [tuple(turns[start : start + 3]) for start in range(0, len(turns), 3)]
        assert {tuple(sorted(one)) for one in rounds} == {("a", "b", "c")}
        assert len(set(rounds)) > 1


def test_take_turns_counts_are_those_of_the_schedule(workers: list[StandInWorker]) -> None:
    steps: list[int] = []
    measured, failed = timed(workers, advance=lambda count, _: steps.append(count))
    assert failed == []
    assert sum(steps) == SCHEDULE.steps * len(workers)
    for one in measured:
        assert len(one.start_s) == 2
        assert [len(turn) for turn in one.spans["model"]] == [5] * 6
        assert one.whole == [[4_000_000] * 5] * 6  # the sum of four stages
        assert {size: len(turns) for size, turns in one.batches.items()} == {1: 3, 4: 3}
        assert "device_part" not in one.spans
        assert [turn.joules for turn in one.batches[1]] == [None] * 3


def test_take_turns_variant_that_fails_is_left_out_with_its_reason(
    workers: list[StandInWorker], log: list[str]
) -> None:
    workers[1].fails_at = "batches"
    measured, failed = timed(workers)
    assert [one.worker for one in measured] == [workers[0], workers[2]]
    reason = "its process ended: out of memory (exit code -9)"
    assert failed == [LeftOut("b cpu fp32, 1 thread", reason)]
    assert log.count("b batches") == 1
    assert [len(turn) for turn in measured[1].spans["model"]] == [5] * 6


def test_take_turns_interrupted_closes_all(workers: list[StandInWorker]) -> None:
    def stop(number: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        timed(workers, stop)
    assert [one.is_open for one in workers] == [False] * 3


def test_take_turns_gpu_has_its_own_part_memory_and_energy() -> None:
    [one], _ = timed([StandInWorker(variant("torch", "cuda:0", 0), ns=4000)])
    assert np.unique(one.spans["device_part"]) == [2000]
    assert one.memory["device_mib"] == 100.0
    assert [turn.joules for turn in one.batches[4]] == [100.0] * 3
