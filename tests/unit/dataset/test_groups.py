import os
import re
from pathlib import Path

import pytest

from sihwa.dataset.groups import groups_of, read_groups, time_notes
from sihwa.dataset.item import Item
from sihwa.errors import ConfigError, DatasetError, SihwaError
from tests.helpers import random_images, save_images

NAMES = ["a/lot1_2.png", "a/lot1_3.png", "a/lot2_9.png", "b/lot1_2.png", "b/x.png"]


def items(*names: str) -> list[Item]:
    return [Item(f"/data/{name}", "good", attributes={"coil": name[0]}) for name in names]


def members(setting: str, *names: str) -> list[list[str]]:
    """Return the names of each group, in order of appearance."""
    found: dict[str | None, list[str]] = {}
    for name, group in zip(names, groups_of(setting, items(*names)), strict=True):
        found.setdefault(group, []).append(name)
    return list(found.values())


@pytest.mark.parametrize(
    ("setting", "groups"),
    [
        ("column:coil", [NAMES[:3], NAMES[3:]]),
        (r"pattern:(lot\d|x)", [[NAMES[0], NAMES[1], NAMES[3]], [NAMES[2]], [NAMES[4]]]),
        (r"pattern:^(.*/)(lot\d)?", [NAMES[:2], [NAMES[2]], [NAMES[3]], [NAMES[4]]]),
        ("folder:1", [NAMES[:3], NAMES[3:]]),
        ("every:2", [NAMES[:2], [NAMES[2]], [NAMES[3]], [NAMES[4]]]),
        ("gap:6", [NAMES[:3], [NAMES[3]], [NAMES[4]]]),
    ],
)
def test_groups_of_each_source_gives_its_groups(setting: str, groups: list[list[str]]) -> None:
    assert members(setting, *NAMES) == groups


def test_groups_of_numbers_that_repeat_count_by_what_stands_before_them() -> None:
    names = ["lot1_1.png", "lot1_2.png", "lot2_1.png", "lot2_2.png"]
    assert members("gap:1", *names) == [names[:2], names[2:]]


def test_groups_of_a_missing_image_keeps_the_blocks_of_the_others() -> None:
    names = [f"{number:03}.png" for number in range(1, 19) if number != 4]
    assert [len(group) for group in members("every:6", *names)] == [5, 6, 6]


def test_groups_of_one_folder_spelt_in_two_ways_are_the_same() -> None:
    assert members("every:2", "x/../a/0.png", "a/1.png", "./a/2.png") == [
        ["x/../a/0.png", "a/1.png"],
        ["./a/2.png"],
    ]


def test_groups_of_times_begin_a_group_after_a_pause() -> None:
    times = [f"2026-01-02T03:04:{second:02}" for second in (0, 40, 45, 2)]
    found = groups_of("time:5", items("1", "2", "3", "4"), times)
    assert found[0] == found[3] != found[1] == found[2]


def test_groups_of_times_without_exif_take_the_time_of_the_file(tmp_path: Path) -> None:
    made = [Item(str(path), "good") for path in save_images(tmp_path, random_images(3, 8, 8))]
    for item, second in zip(made, (0, 40, 3), strict=True):
        os.utime(item.path, (1e9 + second, 1e9 + second))
    found = groups_of("time:5", made)
    assert found[0] == found[2] != found[1]


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("2024-05-01_10-{}.png", [1, 2]),
        ("cam_20240501T10{}.png", [1, 2]),
        ("cam_2024050110{}_raw.png", [1, 2]),
    ],
)
def test_groups_of_times_in_names_count_seconds(name: str, groups: list[int]) -> None:
    between = "-" if "-" in name else ""
    names = [name.format(one.replace("-", between)) for one in ("31-58", "32-07", "32-09")]
    assert [len(group) for group in members("gap:5", *names)] == groups
    assert [len(group) for group in members("gap:9", *names)] == [3]


def test_groups_of_digits_that_are_no_date_count_by_the_last_number() -> None:
    names = ["2024-99-01_10-32-07.png", "2024-99-01_10-32-08.png"]
    assert members("gap:1", *names) == [names]


def test_time_notes_count_the_images_without_a_capture_time() -> None:
    (note,) = time_notes("time:15", ["2026-01-02T03:04:05", None, None])
    assert "2 of 3 images have no capture time" in note
    assert not time_notes("time:15", ["2026-01-02T03:04:05"])
    assert not time_notes("gap:15", [None])


@pytest.mark.parametrize(
    ("setting", "error", "message"),
    [
        ("lot", ConfigError, "expected one of column:..., pattern:..."),
        ("every:0", ConfigError, "a whole number above 0, got '0'"),
        ("pattern:lot", ConfigError, "captures nothing"),
        ("pattern:(", ConfigError, "not a regular expression"),
        ("column:lot", DatasetError, "no column 'lot'; columns: coil"),
        ("pattern:(part)", DatasetError, "gives none of the 5 images a group"),
    ],
)
def test_read_groups_bad_setting_is_refused(
    setting: str, error: type[SihwaError], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        read_groups(setting, items(*NAMES), [None] * len(NAMES))


def test_groups_of_given_splits_count_over_train_and_test() -> None:
    names = ["train/a/1.png", "test/a/2.png", "train/a/3.png", "test/a/9.png"]
    assert members("gap:1", *names) == [names[:3], names[3:]]


def test_groups_of_given_splits_with_the_same_names_stay_apart() -> None:
    names = ["train/a/1.png", "train/a/2.png", "test/a/1.png", "test/a/2.png"]
    assert members("gap:1", *names) == [names[:2], names[2:]]
