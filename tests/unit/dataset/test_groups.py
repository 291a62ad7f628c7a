import os
import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image

from sihwa.dataset.groups import captured_at, groups_of, read_groups
from sihwa.dataset.item import Item
from sihwa.errors import ConfigError, DatasetError, SihwaError

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
    start = datetime(2026, 1, 2).astimezone()
    seconds = {"/data/1": 0, "/data/2": 40, "/data/3": 45, "/data/4": 2}
    found = groups_of(
        "time:5", items("1", "2", "3", "4"), lambda path: start + timedelta(0, seconds[path])
    )
    assert found[0] == found[3] != found[1] == found[2]


def test_captured_at_prefers_what_the_camera_wrote(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[36867] = "2026:01:02 03:04:05"
    image = Image.new("RGB", (8, 8))
    image.save(tmp_path / "camera.jpg", exif=exif)
    image.save(tmp_path / "plain.jpg")
    os.utime(tmp_path / "plain.jpg", (1e9, 1e9))
    assert captured_at(str(tmp_path / "camera.jpg")) == datetime(2026, 1, 2, 3, 4, 5).astimezone()
    assert captured_at(str(tmp_path / "plain.jpg")).timestamp() == 1e9


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
        read_groups(setting, items(*NAMES))
