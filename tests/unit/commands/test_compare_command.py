"""`sihwa compare`: runs side by side."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from sihwa.commands.cli import app
from sihwa.errors import ConfigError
from tests.unit.qualification.made_run import made_run


def compare(*words: object) -> str:
    result = CliRunner().invoke(app, ["compare", *map(str, words)], catch_exceptions=False)
    return result.output


def test_compare_command_prints_runs_and_writes_a_table(tmp_path: Path) -> None:
    runs = [made_run(tmp_path / str(n), missed=n, seed=n) for n in (12, 1)]
    out = tmp_path / "runs.csv"
    said = compare(*runs, "--csv", out)
    assert "seed=12" in said
    assert f"run 2: {runs[1]}" in said
    assert "runs 1, 2 differ by seed alone" in said
    assert "run 2 against run 1, same test images: escapes better" in said
    assert out.read_text("utf-8-sig").startswith("run,seed,accuracy,")


@pytest.mark.parametrize(
    ("csv", "message"), [("runs.txt", r"must name a \.csv file"), ("old.csv", "exists already")]
)
def test_compare_command_bad_csv_is_refused(tmp_path: Path, csv: str, message: str) -> None:
    (tmp_path / "old.csv").touch()
    with pytest.raises(ConfigError, match=message):
        compare(tmp_path, tmp_path, "--csv", tmp_path / csv)
