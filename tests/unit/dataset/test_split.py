from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sihwa.dataset import (
    SPLITS,
    SplitConfig,
    assign_folds,
    assign_splits,
    find_components,
    thin_training,
)
from sihwa.dataset.alike import require_one_label
from sihwa.dataset.item import Item
from sihwa.dataset.split import require_one_given_split
from sihwa.errors import ConfigError, DatasetError

SHARES = SplitConfig(calibration=0.2, test=0.2)
LABELS = ("dent", "good", "얼룩")


def items_of(*counts: int, split: str | None = None) -> list[Item]:
    """Return `counts[k]` images of class k."""
    return [
        Item(f"{label}/{index}.png", label, split=split)
        for label, count in zip(LABELS, counts, strict=False)
        for index in range(count)
    ]


def contents(count: int) -> list[str]:
    return [f"{index:064x}" for index in range(count)]


def split_of(items: list[Item], content: list[str], seed: int = 0) -> list[str]:
    require_one_label(items, content, [None] * len(items))
    component = components_of(items, content)
    require_one_given_split(items, component)
    return assign_splits(items, component, SHARES, seed)


def components_of(items: list[Item], content: list[str]) -> list[str]:
    return find_components([item.group for item in items], content)


def count_by_class(items: list[Item], split: list[str]) -> Counter[tuple[str, str]]:
    return Counter((item.label, name) for item, name in zip(items, split, strict=True))


@given(st.tuples(st.integers(4, 60), st.integers(4, 60)), st.integers(0, 5))
def test_assign_splits_each_class_is_within_one_image_of_its_share(
    counts: tuple[int, int], seed: int
) -> None:
    items = items_of(*counts)
    found = count_by_class(items, split_of(items, contents(len(items)), seed))
    for label, total in zip(LABELS, counts, strict=False):
        for name, share in (("train", 0.6), ("calibration", 0.2), ("test", 0.2)):
            assert abs(found[label, name] - share * total) <= 1


@given(st.permutations(range(30)), st.text(min_size=1))
def test_assign_splits_ignores_order_and_place(order: list[int], place: str) -> None:
    items, content = items_of(15, 15), contents(30)
    expected = split_of(items, content, 1)
    moved = [Item(f"{place}/{items[row].path}", items[row].label) for row in order]
    split = split_of(moved, [content[row] for row in order], 1)
    assert split == [expected[row] for row in order]


def test_assign_splits_another_seed_gives_other_splits() -> None:
    items, content = items_of(20, 20), contents(40)
    assert split_of(items, content, 0) != split_of(items, content, 1)


@given(st.lists(st.tuples(st.sampled_from(LABELS[:2]), st.integers(0, 9)), min_size=40))
def test_assign_splits_keeps_groups_together(pairs: list[tuple[str, int]]) -> None:
    # eight images without a group let both classes be split
    items = [*items_of(4, 4), *(Item(f"{i}", x, group=f"g{g}") for i, (x, g) in enumerate(pairs))]
    split = split_of(items, contents(len(items)))
    for group in {item.group for item in items} - {None}:
        assert len({s for item, s in zip(items, split, strict=True) if item.group == group}) == 1
    assert set(count_by_class(items, split)) == {(x, s) for x in LABELS[:2] for s in SPLITS}


@given(st.data())
def test_assign_splits_keeps_identical_bytes_together(data: st.DataObject) -> None:
    items = items_of(30, 30)
    copies = st.integers(0, 9).map("d{}".format) | st.uuids().map(str)
    content = [item.label + data.draw(copies) for item in items]
    content[:4] = contents(4)
    content[30:34] = contents(60)[30:34]
    split = split_of(items, content)
    for same in set(content):
        assert len({s for c, s in zip(content, split, strict=True) if c == same}) == 1


def test_assign_splits_groups_linked_by_a_copy_stay_together() -> None:
    items = [*items_of(10, 10), Item("a", "dent", group="left"), Item("b", "dent", group="right"),
             Item("c", "dent", group="left"), Item("d", "dent", group="right")]  # fmt: skip
    content = contents(24)
    content[21] = content[22]  # b, of the right group, is a copy of c, of the left one
    assert len(set(split_of(items, content)[20:])) == 1


def test_assign_splits_large_group_leaves_images_for_each_split() -> None:
    items = [*items_of(0, 8), *(Item(f"{i}", "dent", group="coil") for i in range(50)),
             *items_of(3)]  # fmt: skip
    found = count_by_class(items, split_of(items, contents(61)))
    assert found["dent", "train"] == 51
    assert found["dent", "calibration"] == found["dent", "test"] == 1


def test_assign_splits_given_splits_are_kept() -> None:
    given_splits = ["train", "calibration", "test", "train"] * 2
    items = [Item(f"{i}", LABELS[i // 4], split=name) for i, name in enumerate(given_splits)]
    assert split_of(items, contents(8)) == given_splits


def test_assign_splits_missing_split_is_taken_out_of_train() -> None:
    items = [*items_of(40, 40, split="train"), *items_of(10, 10, split="test")]
    split = split_of(items, contents(100))
    assert split[80:] == ["test"] * 20
    assert count_by_class(items[:80], split[:80]) == {
        ("dent", "train"): 30, ("dent", "calibration"): 10,
        ("good", "train"): 30, ("good", "calibration"): 10,
    }  # fmt: skip


def grouped_set(rng: np.random.Generator) -> tuple[list[Item], list[str]]:
    """Return 1,344 images in 224 groups of six, in three classes, with random contents."""
    items = [
        Item(f"{part}-{view}.png", LABELS[part % 3], group=f"part {part}")
        for part in range(224)
        for view in range(6)
    ]
    return items, [rng.bytes(32).hex() for _ in items]


def moved_groups(
    before: tuple[list[Item], list[str]], after: tuple[list[Item], list[str]], seed: int
) -> int:
    """Return how many groups that are in both data sets have another split."""
    old = dict(zip(before[1], split_of(*before, seed), strict=True))
    new = dict(zip(after[1], split_of(*after, seed), strict=True))
    group = dict(zip(before[1], (item.group for item in before[0]), strict=True))
    return len({group[one] for one in old.keys() & new.keys() if old[one] != new[one]})


@pytest.mark.parametrize("seed", range(5))
def test_assign_splits_one_changed_image_moves_few_groups(
    rng: np.random.Generator, seed: int
) -> None:
    items, content = grouped_set(rng)
    other = "good" if items[100].label != "good" else "dent"
    relabelled = [replace(i, label=other) if i.group == items[100].group else i for i in items]
    assert moved_groups((items, content), (relabelled, content), seed) <= 5
    fewer = items[:100] + items[101:], content[:100] + content[101:]
    assert moved_groups((items, content), fewer, seed) <= 3


def test_assign_splits_thirty_new_images_move_one_group_in_twenty(rng: np.random.Generator) -> None:
    items, content = grouped_set(rng)
    new = [Item(f"new {i}.png", LABELS[i % 3], group=f"new {i // 6}") for i in range(30)]
    grown = items + new, content + [rng.bytes(32).hex() for _ in new]
    moved = [moved_groups((items, content), grown, seed) for seed in range(5)]
    assert np.mean(moved) <= 0.05 * 224


def test_assign_splits_earlier_splits_are_kept(rng: np.random.Generator) -> None:
    items, content = grouped_set(rng)
    component = components_of(items, content)
    earlier = dict.fromkeys(component[:300], "test")
    split = assign_splits(items, component, SHARES, seed=0, earlier=earlier)
    assert set(split[:300]) == {"test"}
    assert split.count("test") == 300  # it has more than its share, so it gets no other
    assert split.count("calibration") == pytest.approx(0.2 * len(items), abs=9)


TRAIN = items_of(9, 9, split="train")


@pytest.mark.parametrize(
    ("items", "copies", "message"),
    [
        (items_of(1, 10), {}, r"'dent': .* in train, got 1 .*leave_out=.*merge="),
        (items_of(1, 1), {}, r"'dent': .*; class 'good': "),
        (items_of(2, 2), {}, "no image is left for the split calibration"),
        (items_of(4, 10), {1: 0, 2: 0, 3: 0}, "'dent'.*count once"),
        (items_of(4, 4), {6: 1}, r"dent/1\.png is 'dent', good/2\.png is 'good'"),
        (items_of(9, 9, split="test"), {}, "expected images in the split train"),
        (
            [*TRAIN, *items_of(9, 9, split="test")],
            {20: 3},
            r"/3.png \(split train\) and dent/2.png",
        ),
    ],
    ids=["1", "1 and 1", "2", "copies", "two labels", "no train", "copy in two splits"],
)
def test_assign_splits_impossible_split_is_refused(
    items: list[Item], copies: dict[int, int], message: str
) -> None:
    content = contents(len(items))
    for copy, original in copies.items():
        content[copy] = content[original]
    with pytest.raises(DatasetError, match=message):
        split_of(items, content)


def test_assign_folds_tests_each_image_once_and_keeps_groups() -> None:
    label = ["good", "bad", "bad"] * 40
    component = [f"coil {index // 2}" for index in range(120)]
    folds = assign_folds(label, component, 4, SplitConfig(calibration=0.2), seed=0)
    table = np.array(folds)
    assert ((table == "test").sum(0) == 1).all()
    for fold in folds:
        assert {name: fold.count(name) for name in SPLITS} == pytest.approx(
            {"train": 68, "calibration": 22, "test": 30}, abs=4
        )
        for coil in set(component):
            own = {s for s, name in zip(fold, component, strict=True) if name == coil}
            assert len(own) == 1


def test_assign_folds_calibrate_on_other_images_each_time() -> None:
    label, component = ["good", "bad"] * 100, [str(index) for index in range(200)]
    table = np.array(assign_folds(label, component, 5, SplitConfig(), seed=0))
    # each image calibrates in about one fold of five, not the same ones in nearly all
    assert (table == "calibration").sum(0).max() <= 4
    assert ((table == "calibration").sum(0) == 0).sum() < 100


def test_assign_folds_too_few_images_is_refused() -> None:
    label = ["good"] * 50 + ["bad"] * 4
    with pytest.raises(DatasetError, match="at least 5 independent images of every class, got 4"):
        assign_folds(label, [str(i) for i in range(54)], 5, SplitConfig(), seed=0)


@given(st.integers(1, 40), st.integers(0, 5))
def test_thin_training_limits_each_class_of_train_alone(limit: int, seed: int) -> None:
    items = items_of(50, 20)
    label, content = [item.label for item in items], contents(70)
    split = split_of(items, content)
    rows = thin_training(label, split, content, limit, seed)
    found = Counter((label[row], split[row]) for row in rows)
    before = count_by_class(items, split)
    for name in LABELS[:2]:
        assert found[name, "train"] == min(limit, before[name, "train"])
        assert found[name, "calibration"] == before[name, "calibration"]
        assert found[name, "test"] == before[name, "test"]
    assert set(rows) <= set(thin_training(label, split, content, limit + 1, seed))


def test_thin_training_depends_on_content_and_seed_alone() -> None:
    items = items_of(50, 20)
    label, content = [item.label for item in items], contents(70)
    rows = thin_training(label, ["train"] * 70, content, 3, seed=0)
    turned = thin_training(label[::-1], ["train"] * 70, content[::-1], 3, seed=0)
    assert sorted(69 - row for row in turned) == rows
    assert thin_training(label, ["train"] * 70, content, 3, seed=1) != rows


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train_per_class": 0}, "train_per_class must be null or at least 1, got 0"),
        ({"test": 1.0}, r"split.test must be in \(0, 1\), got 1.0"),
        ({"test": 0.5, "calibration": 0.5}, "must be below 1, got 1, which leaves nothing"),
    ],
)
def test_split_config_out_of_range_is_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SplitConfig(**settings)  # type: ignore[arg-type]
