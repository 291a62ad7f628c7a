"""The zoo of untidy folders and tables in benchmarks/."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, str(ROOT / "benchmarks/zoo.py")]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="takes no such file names")


@pytest.mark.parametrize("programs", ["0", pytest.param("10", marks=pytest.mark.slow)])
def test_zoo_every_untidy_data_set_is_read_or_refused_as_is_right(programs: str) -> None:
    done = subprocess.run(
        [*PROGRAM, "--programs", programs],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert "WRONG" not in done.stdout, done.stdout
    assert done.returncode == 0, done.stderr
    read, known = done.stdout.splitlines()[-1].split()[0:3:2]
    assert read == known
    assert int(known) >= 60


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({"images": 11}, "12 images instead of 11", id="images"),
        pytest.param({"classes": ("ng",)}, "classes", id="classes"),
        pytest.param({"says": "no such note"}, "no note says", id="note"),
        pytest.param({"images": None}, "read: 12 images", id="not refused"),
    ],
)
def test_zoo_tells_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, object], expected: str
) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    zoo = importlib.import_module("zoo")
    case = next(case for case in zoo.FOUND if case.name == "plain")
    settings = zoo.settings_of(case, tmp_path)
    assert zoo.difference(case, settings) == ""
    assert expected in zoo.difference(case._replace(**change), settings)
