"""Work on workers that are lost, come back, and answer in any order."""

import itertools
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import Event

import pytest

from sihwa.scoring import Entry, ReadOptions, Row, Scored, Sources, score_block
from sihwa.scoring.pipeline import blocks_of
from sihwa.scoring.shares import CHANCES, IN_HAND, Lost, score_on_workers
from tests.helpers import random_images, save_images
from tests.unit.scoring.stub import stub_inspector

MEASURED = ("milliseconds", "time")


class Unsteady:
    """Workers that answer late, in any order, and are lost as often as told."""

    def __init__(self, seed: int = 0, losses: float = 0.0, deadly: str = "") -> None:
        self.rng = random.Random(seed)
        self.losses, self.deadly = losses, deadly
        self.begun: dict[int, Sequence[Entry]] = {}
        self.numbers = itertools.count()
        self.lost = 0
        self.dropped: list[int] = []
        self.most = 0

    def count(self) -> int:
        return self.rng.choice((0, 1, 2))

    def begin(self, entries: Sequence[Entry]) -> int:
        number = next(self.numbers)
        self.begun[number] = entries
        self.most = max(self.most, len({entry for one in self.begun.values() for entry in one}))
        return number

    def wait(self, begun: Sequence[int]) -> Sequence[int]:
        assert set(begun) <= self.begun.keys(), "waits for what was taken or never begun"
        return [number for number in begun if self.rng.random() < 0.4]

    def rows(self, done: int) -> list[Row]:
        entries = self.begun.pop(done)
        deadly = any(
            entry.path.endswith(self.deadly or "/") and not entry.fault for entry in entries
        )
        if deadly or self.rng.random() < self.losses:
            self.lost += 1
            raise Lost
        return score_block(stub_inspector(), entries, ReadOptions())

    def drop(self, begun: Sequence[int]) -> None:
        self.dropped += begun


@pytest.fixture
def entries(tmp_path: Path) -> list[Entry]:
    save_images(tmp_path, random_images(40, 12, 16))
    (tmp_path / "cut.png").write_bytes(b"no image")
    return list(Sources([tmp_path]))


def facts(rows: Iterable[Row]) -> list[Row]:
    return [{name: row[name] for name in row if name not in MEASURED} for row in rows]


def rows_of(done: Iterable[Scored]) -> list[Row]:
    return facts(row for scored in done for row in scored.rows)


@pytest.mark.parametrize("losses", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("seed", range(5))
def test_score_on_workers_lost_ones_neither_lose_nor_double_nor_move_a_row(
    entries: list[Entry], losses: float, seed: int
) -> None:
    workers = Unsteady(seed, losses)
    done = list(score_on_workers(workers, blocks_of(entries, 5), Event()))
    rows = rows_of(done)
    kept = [row for row in rows if "process that scored it" not in str(row["error"])]
    whole = facts(score_block(stub_inspector(), entries, ReadOptions()))
    assert [row["path"] for row in rows] == [entry.path for entry in entries]
    assert kept == [row for row in whole if row in kept]
    assert len(kept) == len(whole) or losses > 0.5  # there, a file may lose three workers alone
    assert [scored.files for scored in done] == [5] * 8 + [1]
    assert workers.lost > 0 or not losses
    assert workers.most <= 5 * 2 * IN_HAND
    assert not workers.begun


def test_score_on_workers_file_that_takes_its_workers_along_gets_a_row_that_says_so(
    entries: list[Entry],
) -> None:
    workers = Unsteady(deadly="007.png")
    rows = rows_of(score_on_workers(workers, blocks_of(entries, 5), Event()))
    [deadly] = [row for row in rows if str(row["path"]).endswith("007.png")]
    others = [entry for entry in entries if not entry.path.endswith("007.png")]
    assert deadly["error"] == f"the process that scored it ended, {CHANCES} times"
    assert (deadly["decision"], deadly["reason"]) == ("review", "unreadable")
    assert [row for row in rows if row != deadly] == facts(
        score_block(stub_inspector(), others, ReadOptions())
    )
    assert workers.lost == 2 * CHANCES


def test_score_on_workers_told_to_stop_finishes_what_is_in_hand_and_leaves_no_gap(
    entries: list[Entry],
) -> None:
    stop, workers = Event(), Unsteady(losses=0.2)
    rows: list[Row] = []
    for scored in score_on_workers(workers, blocks_of(entries, 4), stop):
        rows += scored.rows
        stop.set()
    assert 4 < len(rows) < len(entries)
    assert [row["path"] for row in rows] == [entry.path for entry in entries[: len(rows)]]
    assert not workers.begun


def test_score_on_workers_given_up_drops_what_nobody_waits_for(entries: list[Entry]) -> None:
    workers = Unsteady()
    running = score_on_workers(workers, blocks_of(entries, 4), Event())
    next(running)
    running.close()
    assert set(workers.begun) == set(workers.dropped) != set()
