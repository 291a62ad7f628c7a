import os
import subprocess
import sys
from pathlib import Path

import pytest

from sihwa.scoring import Sources
from sihwa.terminal.console import errors_as_lines

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
PROGRAM = """
from pathlib import Path
from rich.console import Console
from sihwa.terminal.console import errors_as_lines, note, say, saying_if_possible
with errors_as_lines():
    note("begun 부품")
    with saying_if_possible():
        Console().print("table 부품")
        say("all 부품 " * 2000)
    Path("done").touch()
    say("the end")
"""


@posix
@pytest.mark.parametrize("buffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize(
    ("streams", "out", "err"),
    [
        ("2>&-", 3, []),
        ("2>/dev/full", 3, []),
        (">&-", 0, ["begun"]),
        (">/dev/full", 0, ["begun", "cannot write to standard output: No space left"]),
        ("| true", 0, ["begun"]),
    ],
)
def test_streams_that_take_nothing_stop_no_work(
    tmp_path: Path, streams: str, out: int, err: list[str], buffered: str
) -> None:
    done = subprocess.run(
        ["bash", "-c", f'set -o pipefail; "$0" -c "$1" {streams}', sys.executable, PROGRAM],
        env={**os.environ, "PYTHONUNBUFFERED": buffered, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        encoding="ascii",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "done").exists()
    assert len(done.stdout.splitlines()) == out
    lines = done.stderr.splitlines()
    assert [line[: len(begin)] for line, begin in zip(lines, err, strict=True)] == err


@posix
@pytest.mark.parametrize(
    ("place", "err"),
    [(">/dev/full", "error: cannot write to standard output: No space left on device\n"),
     ("| true", "")],
)  # fmt: skip
def test_errors_as_lines_output_that_is_all_there_is_ends_in_one_line(place: str, err: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f'set -o pipefail; "$0" -m sihwa --help {place}', sys.executable],
        capture_output=True,
        encoding="utf-8",
    )
    assert (done.returncode, done.stderr) == (1, err)


def test_errors_as_lines_a_name_cannot_move_the_cursor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = tmp_path / os.fsdecode(b"new\nline \x1bc\xff.tgz")
    packed.touch()
    with pytest.raises(SystemExit), errors_as_lines():
        Sources([packed])
    [line] = capsys.readouterr().err.splitlines()
    assert r"new\nline \x1bc\xff.tgz: a packed .tar" in line
