"""`sihwa benchmark` from outside: files, words, exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from sihwa.benchmark.results import benchmark_schema
from sihwa.commands.benchmark_command import _without_results
from tests.golden.smallest import FOLDER
from tests.helpers import random_images, save_images

ROOT = Path(__file__).parents[2]
SHORT = ("--samples", "6", "--batches", "1,2", "--threads", "1", "--no-ceilings")


def run(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [str(word) for word in words]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_images(tmp_path / "부품", random_images(3, 40, 50))
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


def test_benchmark_results_of_another_one_meanwhile_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "결과"
    assert _without_results(out) == out
    for name in ("결과", "결과-2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "benchmark.csv").touch()
    assert _without_results(out) == tmp_path / "결과-3"
    assert "holds the results of another benchmark by now" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(["--devices", "tpu"], "got 'tpu'", id="device"),
        pytest.param(["--threads", "two"], "--threads must be whole numbers", id="threads"),
        pytest.param(["--samples", "0"], "--samples must be 1 to", id="none"),
        pytest.param(["--samples", "9" * 20], "--samples must be 1 to", id="for ever"),
        pytest.param(["--samples", "1000001"], "1,000,000, got 1000001", id="one too many"),
        pytest.param(["--threads", "٣"], "--threads must be whole numbers", id="other digits"),
        pytest.param(["--devices", "cuda:٣"], "got 'cuda:٣'", id="other device digits"),
        pytest.param(["--samples", "1e3"], "Invalid value for '--samples'", id="no number"),
        pytest.param(["--batches", "9" * 5000], "--batches must be whole numbers", id="digits"),
        pytest.param(["--seed", "-1"], "--seed must be 0 to", id="seed"),
        pytest.param(["--sampels", "1"], "No such option", id="misspelt"),
        pytest.param(["--threads", "99999"], "the cores of this machine, got 99999", id="cores"),
        pytest.param(["--images", "nowhere"], "got 'nowhere', which is not there", id="images"),
        pytest.param(["--images", __file__], "or one image, got the file", id="a file"),
        pytest.param(["--images", ""], "empty path; use .", id="no images"),
        pytest.param(["--out", ""], "empty path; use .", id="no folder"),
        pytest.param(["--line-rate", "-3"], "--line-rate must be from 0.001", id="rate"),
    ],
)
def test_benchmark_wrong_options_are_one_line(words: list[str], message: str) -> None:
    done = run(sys.executable, "-m", "sihwa", "benchmark", FOLDER, *words)
    assert done.returncode != 0
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("out", ["taken", "taken/below", "/dev/full"])
def test_benchmark_folder_that_takes_nothing_is_refused_before_anything_is_timed(
    out: str, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("mine")
    done = run(
        sys.executable, "-m", "sihwa", "benchmark", FOLDER, "--images", folder,
        "--out", tmp_path / out, *SHORT,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: cannot write {tmp_path / out}")
    assert done.stderr.count("\n") == 1
    assert (tmp_path / "taken").read_text() == "mine"


def test_benchmark_that_is_there_is_not_written_over(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "benchmark.csv").symlink_to(tmp_path / "elsewhere")
    given = ("--images", folder, "--out", tmp_path / "out", *SHORT)
    done = run(sys.executable, "-m", "sihwa", "benchmark", FOLDER, *given)
    assert (done.returncode, done.stdout) == (1, "")
    assert "benchmark.csv is there already; name another folder with --out" in done.stderr


PRESSED = """
import os, signal
import sihwa.benchmark.measure
from sihwa.benchmark.race import run_race
def pressed(*given):
    os.kill(os.getpid(), signal.SIG{0})
    return run_race(*given)
sihwa.benchmark.measure.run_race = pressed
from sihwa.commands.cli import main
main()
"""


@pytest.mark.parametrize(
    ("name", "code", "line"), [("INT", 130, "interrupted; "), ("TERM", 143, "terminated; ")]
)
def test_benchmark_interrupted_says_so_and_leaves_nothing(
    name: str, code: int, line: str, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "a" / "b"
    given = ("benchmark", FOLDER, "--images", folder, "--out", out, *SHORT)
    done = run(sys.executable, "-c", PRESSED.format(name), *given)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr == f"{line}no partial files were left behind\n"
    assert not (tmp_path / "a").exists()
