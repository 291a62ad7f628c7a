from collections import Counter

import pytest

from sihwa.benchmark.race import Measured, Schedule, run_race
from sihwa.benchmark.variant import LeftOut
from tests.unit.benchmark.stand_in import StandInContestant, flat, variant

COURSE = Schedule(
    rounds=6, samples=29, warm_up=2, batches=(1, 4), batch_rounds=3, batch_seconds=0.0, starts=2
)


def race(
    contestants: list[StandInContestant], course: Schedule = COURSE
) -> tuple[list[Measured], list[LeftOut]]:
    devices = {one.variant.choice.device for one in contestants}
    joules = iter(range(10_000))
    return run_race(
        contestants,
        course,
        {device: lambda: float(next(joules)) for device in devices},
        lambda device: None if device == "cpu" else float(100 * next(joules)),
        lambda _: None,
        lambda *_: None,
    )


def field_of(count: int = 3) -> tuple[list[StandInContestant], list[str]]:
    log: list[str] = []
    return [StandInContestant(variant(name), log=log) for name in "abcdef"[:count]], log


def test_run_race_every_round_gives_each_variant_one_turn_of_each_kind() -> None:
    contestants, log = field_of()
    race(contestants)
    turns = [line.split()[0] for line in log if line.endswith(" files")]
    for start in range(3, len(turns), 3):  # the first three warm up
        assert sorted(turns[start : start + 3]) == ["a", "b", "c"]


def test_run_race_the_order_changes() -> None:
    contestants, log = field_of()
    race(contestants)
    turns = [line.split()[0] for line in log if line.endswith(" model")][3:]
    assert len({tuple(turns[start : start + 3]) for start in range(0, len(turns), 3)}) > 1


def test_run_race_counts_are_those_of_the_course() -> None:
    contestants, _ = field_of()
    measured, failed = race(contestants)
    assert failed == []
    for one in measured:
        assert len(one.start_s) == 2
        assert [len(turn) for turn in one.model] == [5] * 6
        assert [len(turn) for turn in one.whole] == [5] * 6
        assert {size: len(turns) for size, turns in one.batches.items()} == {1: 3, 4: 3}
        assert one.device == []


def test_run_race_whole_is_the_sum_of_the_stages() -> None:
    measured, _ = race([StandInContestant(variant(), ns=1000)])
    assert set(flat(measured[0].whole)) == {4000}


def test_run_race_what_fails_is_set_aside_with_its_reason() -> None:
    contestants, log = field_of()
    contestants[1].fails_at = "batches"
    measured, failed = race(contestants)
    assert [str(one.variant.choice.runtime) for one in measured] == ["a", "c"]
    assert [(one.name, one.reason) for one in failed] == [
        ("b cpu fp32, 1 thread", "its process ended: out of memory (exit code -9)")
    ]
    assert Counter(log)["b batches"] == 1
    assert [len(turn) for turn in measured[1].model] == [5] * 6


def test_run_race_all_are_closed_when_it_is_stopped() -> None:
    contestants, _ = field_of()

    def stop(number: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_race(contestants, COURSE, {"cpu": lambda: None}, lambda _: None, stop, lambda *_: None)
    assert [one.is_open for one in contestants] == [False] * 3


def test_run_race_steps_are_what_the_course_says() -> None:
    contestants, _ = field_of()
    steps: list[int] = []
    run_race(
        contestants,
        COURSE,
        {"cpu": lambda: None},
        lambda _: None,
        lambda _: None,
        lambda count, _: steps.append(count),
    )
    assert sum(steps) == COURSE.steps * len(contestants)


def test_run_race_a_graphics_card_tells_its_own_part_memory_and_energy() -> None:
    measured, _ = race([StandInContestant(variant("torch", "cuda:0", 0), ns=4000)])
    [one] = measured
    assert set(flat(one.device)) == {2000}
    assert one.device_mib == 100.0
    assert [turn["joules"] for turn in one.batches[4]] == [1.0] * 3


def test_run_race_without_a_meter_there_is_no_energy() -> None:
    contestants, _ = field_of(1)
    measured, _ = run_race(
        contestants,
        COURSE,
        {"cpu": lambda: None},
        lambda _: None,
        lambda _: None,
        lambda *_: None,
    )
    assert [turn["joules"] for turn in measured[0].batches[1]] == [None] * 3
