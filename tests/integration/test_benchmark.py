"""`sihwa benchmark` from outside: files, words, exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from sihwa.benchmark.results import benchmark_schema
from tests.conftest import pictures, save_pictures
from tests.golden.smallest import FOLDER

ROOT = Path(__file__).parents[2]
SHORT = ("--samples", "6", "--batches", "1,2", "--threads", "1", "--no-ceilings")


def run(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [str(word) for word in words]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_pictures(tmp_path / "부품", pictures(3, 40, 50))
    return tmp_path / "부품"


@pytest.mark.parametrize("program", [("-m", "sihwa", "benchmark"), ("scripts/benchmark.py",)])
def test_benchmark_writes_json_csv_and_page(
    program: tuple[str, ...], folder: Path, tmp_path: Path
) -> None:
    words = [str(ROOT / word) if word.endswith(".py") else word for word in program]
    out = tmp_path / "결과"
    given = ("--images", folder, "--line-rate", "2", "--out", out)
    done = run(sys.executable, *words, FOLDER, *given, *SHORT)
    assert done.returncode == 0, done.stderr
    assert "ENOUGH for 2 parts/s within 500 ms" in done.stdout
    assert sorted(path.name for path in out.iterdir()) == [
        "benchmark.csv",
        "benchmark.html",
        "benchmark.json",
    ]
    document = json.loads((out / "benchmark.json").read_text("utf-8"))
    jsonschema.validate(document, benchmark_schema())
    assert document["variants"][0]["file_to_decision"]["samples"] == 6
    assert [path.name for path in folder.iterdir() if path.suffix != ".png"] == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(["--devices", "tpu"], "got 'tpu'", id="device"),
        pytest.param(["--threads", "two"], "--threads must be whole numbers", id="threads"),
        pytest.param(["--images", "nowhere"], "expected a folder or an archive", id="pictures"),
        pytest.param(["--line-rate", "-3"], "--line-rate must be above 0", id="rate"),
    ],
)
def test_benchmark_wrong_options_are_one_line(words: list[str], message: str) -> None:
    done = run(sys.executable, "-m", "sihwa", "benchmark", FOLDER, *words)
    assert done.returncode != 0
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
