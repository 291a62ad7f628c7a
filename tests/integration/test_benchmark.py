"""`sihwa benchmark` as a command: files, messages, exit codes."""

import subprocess
import sys
from pathlib import Path

import pytest

from sihwa.benchmark import read_results
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
def test_benchmark_writes_results_and_page_and_shows_them_again(
    program: tuple[str, ...], folder: Path, tmp_path: Path
) -> None:
    words = [str(ROOT / word) if word.endswith(".py") else word for word in program]
    out = tmp_path / "결과"
    given = ("--images", folder, "--line-rate", "2", "--out", out)
    done = run(sys.executable, *words, FOLDER, *given, *SHORT)
    assert done.returncode == 0, done.stderr
    assert "ENOUGH for 2 parts/s within 500 ms" in done.stdout
    assert sorted(path.name for path in out.iterdir()) == ["benchmark.html", "benchmark.json"]
    assert read_results(out / "benchmark.json").variants[0].file_to_decision.samples == 6
    assert [path.name for path in folder.iterdir() if path.suffix != ".png"] == []
    again = run(sys.executable, *words, out / "benchmark.json", "--out", tmp_path / "again")
    assert again.stdout.splitlines()[:-1] == done.stdout.splitlines()[:-1]
    for name in ("benchmark.html", "benchmark.json"):
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(["--devices", "cuda:٣"], "got 'cuda:٣'", id="device"),
        pytest.param(["--threads", "٣"], "--threads must be whole numbers", id="threads"),
        pytest.param(["--batches", "9" * 5000], "--batches must be whole numbers", id="digits"),
        pytest.param(["--samples", "0"], "Invalid value for '--samples'", id="samples"),
        pytest.param(["--sampels", "1"], "No such option", id="misspelt"),
        pytest.param(["--images", "nowhere"], "got 'nowhere', which is not there", id="images"),
        pytest.param(["--images", __file__], "or one image, got the file", id="a file"),
        pytest.param(["--out", ""], "empty path; use .", id="no folder"),
    ],
)
def test_benchmark_wrong_options_are_one_line(words: list[str], message: str) -> None:
    done = run(sys.executable, "-m", "sihwa", "benchmark", FOLDER, *words)
    assert done.returncode != 0
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("out", "message"),
    [
        pytest.param("file/below", "error: cannot write", id="file"),
        pytest.param("/dev/full", "error: cannot write", id="no folder"),
        pytest.param("used", "benchmark.json exists; name another folder with --out", id="used"),
    ],
)
def test_benchmark_folder_is_refused_before_timing(
    out: str, message: str, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "benchmark.json").symlink_to(tmp_path / "elsewhere")
    given = ("--images", folder, "--out", tmp_path / out, *SHORT)
    done = run(sys.executable, "-m", "sihwa", "benchmark", FOLDER, *given)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert (tmp_path / "file").read_text() == "mine"


PRESSED = """
import os, signal
import sihwa.benchmark.measure
from sihwa.benchmark.turns import take_turns
def pressed(*given):
    os.kill(os.getpid(), signal.SIG{0})
    return take_turns(*given)
sihwa.benchmark.measure.take_turns = pressed
from sihwa.__main__ import main
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
