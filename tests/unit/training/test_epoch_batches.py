from collections import Counter

import numpy as np
import pytest

from sihwa.training.epoch_batches import ActivationBatches, EpochOrder, Request

ROWS = list(range(100, 203))
LABEL = np.array([0] * 93 + [1] * 10)


def drawn(order: EpochOrder, epoch: int = 0) -> list[Request]:
    order.set_epoch(epoch)
    return list(order)


def test_epoch_order_takes_every_row_once_in_even_batches() -> None:
    batches = drawn(EpochOrder(ROWS, LABEL, 32, seed=0))
    assert sorted(row for batch in batches for row in batch.rows) == ROWS
    sizes = [len(batch.rows) for batch in batches]
    assert len(sizes) == 3
    assert max(sizes) - min(sizes) <= 1


def test_epoch_order_depends_on_seed_and_epoch_alone() -> None:
    one, other = (EpochOrder(ROWS, LABEL, 32, seed=0) for _ in range(2))
    for epoch in range(3):
        drawn(one, epoch)
    assert drawn(one, 1) == drawn(other, 1)
    assert drawn(one, 1) != drawn(one, 2)
    assert drawn(one, 1) != drawn(EpochOrder(ROWS, LABEL, 32, seed=1), 1)


@pytest.mark.parametrize("processes", [2, 3, 7])
def test_epoch_order_processes_share_every_batch(
    processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = drawn(EpochOrder(ROWS, LABEL, 32, seed=0))
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    shards = []
    for rank in range(processes):
        monkeypatch.setenv("RANK", str(rank))
        shards.append(drawn(EpochOrder(ROWS, LABEL, 32, seed=0)))
    for batch, shares in zip(whole, zip(*shards, strict=True), strict=True):
        assert sorted(row for share in shares for row in share.rows) == sorted(batch.rows)
        assert {share.total for share in shares} == {len(batch.rows)}
        assert min(len(share.rows) for share in shares) >= 1


def test_epoch_order_fewer_rows_than_a_batch_is_one_batch() -> None:
    assert [len(b.rows) for b in drawn(EpochOrder(ROWS[:3], LABEL[:3], 32, seed=0))] == [3]


def test_epoch_order_oversampling_draws_classes_equally_often() -> None:
    order = EpochOrder(ROWS, LABEL, 32, seed=0, oversample=1.0)
    rare = set(ROWS[93:])
    count = Counter(row in rare for e in range(50) for b in drawn(order, e) for row in b.rows)
    assert count[True] / count.total() == pytest.approx(0.5, abs=0.03)


def test_activation_batches_take_all_views_in_turn_and_view_0_without_an_epoch() -> None:
    activation = np.arange(12, dtype=np.float16).reshape(3, 4, 1, 1, 1)
    batches = ActivationBatches(activation, [7, 8, 9], np.zeros(10, int), seed=0)
    seen = [batches[Request(epoch, (8,), 1)].inputs[0].item() for epoch in range(8)]
    assert sorted(seen[:4]) == [4, 5, 6, 7]
    assert seen[:4] == seen[4:]
    assert batches[Request(None, (9, 7), 2)].inputs[0].flatten().tolist() == [8, 0]
