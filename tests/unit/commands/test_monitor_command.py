"""`sihwa monitor`: control charts of score tables."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from sihwa.commands.cli import app
from sihwa.commands.monitor_command import EXIT_ALARM
from sihwa.errors import ConfigError, DatasetError
from tests.helpers import random_images, save_images
from tests.unit.qualification.study_data import score_row, write_scores


def monitor(*words: object) -> Result:
    return CliRunner().invoke(app, ["monitor", *map(str, words)], catch_exceptions=False)


def made(folder: Path, lots: int, name: str = "scores.parquet", bad_from: int = 99) -> Path:
    """Write a table of 50 images a lot; from a lot on, half of them are rejected."""
    (image,) = save_images(folder / "images", random_images(1, 30, 40))
    rng = np.random.default_rng(0)
    rows = []
    for lot in range(lots):
        for number in range(50):
            bad = number < (25 if lot >= bad_from else 8)
            path = f"lot{lot:02d}/{number}.png"
            if lot == bad_from and number == 0:
                path = str(image)[:-7] + f"lot{lot:02d}.png"
                image.rename(path)
            rows.append(
                score_row(
                    path,
                    "reject" if bad else "accept",
                    unknown=5.0 if lot == bad_from and number == 0 else rng.normal(1, 0.1),
                    time=f"2026-01-02T{lot:02d}:00:00.000+00:00",
                )
            )
    return write_scores(folder / name, rows)


def test_monitor_in_control_ends_with_0(tmp_path: Path) -> None:
    done = monitor(made(tmp_path, 12), "--lot", r"lot(\d+)")
    assert done.exit_code == 0
    assert "in control: 600 images in 12 periods by lot, the first 11 are" in done.output


def test_monitor_alarm_ends_with_its_code_and_writes_page_and_json(tmp_path: Path) -> None:
    table = made(tmp_path, 22, bad_from=21)
    done = monitor(table, "--by", "hour", "--out", tmp_path / "watch")
    assert done.exit_code == EXIT_ALARM == 3
    assert "alarm: reject rate beyond 3 sigma, since 2026-01-02 21:00: 50 %" in done.output
    written = json.loads((tmp_path / "watch" / "monitor.json").read_text("utf-8"))
    assert written["alarms"][0]["images"][0].endswith("lot21.png")
    assert [chart["name"] for chart in written["charts"]] == [
        "reject rate", "review rate", "unknown score",
    ]  # fmt: skip
    assert written["charts"][0]["points"][21]["broken"] == ["beyond 3 sigma"]
    page = (tmp_path / "watch" / "monitor.html").read_text("utf-8")
    assert page.count("<svg") == 3
    assert page.count("data:image/jpeg") == 1
    assert written["alarms"][0]["images"][1] in page  # not there now, but named
    assert "http" not in page.replace("http-equiv", "")


def test_monitor_several_tables_are_one_line(tmp_path: Path) -> None:
    one, other = made(tmp_path / "a", 12), made(tmp_path / "b", 8)
    done = monitor(one, other, "--lot", r"lot(\d+)")
    assert "1,000 images in 12 periods" in done.output


@pytest.mark.parametrize(
    ("words", "error", "reason"),
    [
        (["--by", "hour", "--lot", "x"], ConfigError, "--lot finds lots"),
        (["--by", "lot"], ConfigError, "--by lot needs --lot"),
        (["--by", "week"], ConfigError, "--by must be one of"),
        (["--lot", "("], ConfigError, "regular expression"),
        (["--lot", "x(y)"], DatasetError, "not found in"),
        (["--by", "day"], DatasetError, "at least 5 periods"),
        (["--baseline", "12"], ConfigError, "--baseline must be from 5 to 11"),
    ],
)
def test_monitor_wrong_options_are_refused(
    tmp_path: Path, words: list[str], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        monitor(made(tmp_path, 12), *words)
