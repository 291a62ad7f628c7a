"""`sihwa study`: people and inspector against the reference, and an inspector against itself."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sihwa.commands.cli import app
from sihwa.errors import ConfigError, DatasetError
from tests.helpers import random_images, save_images
from tests.unit.qualification.study_data import GOLDEN, score_row, write_scores, write_study


def study(*words: object) -> str:
    result = CliRunner().invoke(app, ["study", *map(str, words)], catch_exceptions=False)
    return result.output


def test_study_shows_and_writes_the_figures_with_limits_and_source(tmp_path: Path) -> None:
    said = study(GOLDEN, "--accept", "No", "--out", tmp_path / "study.json")
    assert "12 of 15 parts" in said
    assert "fewer than the 50, 3 and 3" in said
    written = json.loads((tmp_path / "study.json").read_text("utf-8"))
    assert [one["name"] for one in written["appraisers"]] == ["EG", "BL", "MH"]
    limit = written["appraisers"][0]["limits"][0]
    assert (limit["figure"], limit["acceptable"], limit["grade"]) == (
        "effectiveness", 0.9, "marginal",
    )  # fmt: skip
    assert "4th edition" in limit["source"]


def test_study_inspector_is_one_more_appraiser(tmp_path: Path) -> None:
    people = [
        (part, who, trial, "good" if part < 3 else "bad", "good" if part < 3 else "bad")
        for part in range(6)
        for who in "AB"
        for trial in (1, 2)
    ]
    table = write_study(tmp_path / "study.csv", people)
    rows = [
        score_row(f"trial{trial}/part{part}.png", "accept" if part < 3 else "reject")
        for part in range(6)
        for trial in (1, 2)
    ]
    rows[-1]["decision"] = "review"
    scores = write_scores(tmp_path / "scores.parquet", rows)
    patterns = ("--part", r"part(\d+)", "--trial", r"trial(\d+)")
    said = study(table, "--scores", scores, *patterns)
    assert "inspector a1b2, 2 trials" in said
    assert "5 of 6 parts" in said
    assert "1 of 12 decisions" in said
    all_right = study(table, "--scores", scores, *patterns, "--review-as", "reject")
    assert "5 of 6 parts" not in all_right


def test_study_simulate_inspects_changed_images(tiny_bundle: Path, tmp_path: Path) -> None:
    save_images(tmp_path / "parts", random_images(3, 40, 50))
    (tmp_path / "parts" / "cut.png").write_bytes(b"no image")
    out = tmp_path / "simulated.json"
    words = ("--simulate", tiny_bundle, tmp_path / "parts", "--trials", 2, "--out", out)
    said = study(*words)
    assert "rotation" in said
    assert "1 image cannot be read" in said
    written = json.loads(out.read_text("utf-8"))
    assert (written["images"], written["trials"], len(written["changes"])) == (3, 2, 5)
    study(*words)
    assert json.loads(out.read_text("utf-8")) == written


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--part", "x"], "find part and trial of --scores"),
        (["--scores", "scores.csv"], "--scores needs --part"),
        (["--review-as", "miss"], "must be one of review, reject"),
        (["--column", "teil=x"], "NAME=HEADING"),
        (["--accept", ","], "--accept: expected words"),
        (["--out", "study.csv"], "must name a .json"),
        (["--simulate", "inspector", "--accept", "ok"], "--simulate takes no"),
    ],
)
def test_study_wrong_options_are_refused(words: list[str], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        study(GOLDEN, *words)


def test_study_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="not readable"):
        study(tmp_path / "none.csv")
