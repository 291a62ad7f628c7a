import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from sihwa.errors import ConfigError, StorageError
from sihwa.model import export_activation
from sihwa.terminal.guard import begin_work, guarding, keeping_interrupts

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such files or signals")
PROGRAM = """
from pathlib import Path
from rich.console import Console
from sihwa.terminal.console import note, say
from sihwa.terminal.guard import guarding
with guarding():
    note("begun 부품")
    Console().print("table 부품")
    say("all 부품 " * 2000)
    Path("done").touch()
    say("the end")
"""


def press(number: int = signal.SIGINT) -> None:
    handler = signal.getsignal(number)
    assert callable(handler)
    handler(number, None)  # as Python does when Ctrl-C is pressed


def swallow() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        press()


def exit_code(*steps: Callable[[], object]) -> object:
    """Run some steps under the guard and return the exit code."""
    try:
        with guarding():
            for step in steps:
                step()
    except SystemExit as end:
        return end.code
    return 0


def raise_another() -> None:
    swallow()
    raise TypeError("of the library")


@pytest.mark.parametrize(
    ("end", "code", "line"),
    [
        pytest.param(press, 130, "interrupted; no partial files", id="Ctrl-C"),
        pytest.param(lambda: press(signal.SIGTERM), 143, "terminated; no partial", id="SIGTERM"),
        pytest.param(swallow, 130, "interrupted; no partial files", id="swallowed"),
        pytest.param(raise_another, 130, "interrupted; no partial files", id="became another"),
    ],
)
def test_guarding_signal_during_work_is_one_line(
    end: Callable[[], None], code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGINT)
    assert exit_code(begin_work, end) == code
    [said] = capsys.readouterr().err.splitlines()
    assert said.startswith(line)
    assert signal.getsignal(signal.SIGINT) is before


def test_guarding_ended_by_a_signal_forgets_it() -> None:
    assert exit_code(begin_work, press) == 130
    with keeping_interrupts():
        pass


def test_guarding_error_shows_its_notes_first(capsys: pytest.CaptureFixture[str]) -> None:
    error = ConfigError("wrong")
    error.add_note("3 files are ignored")
    with pytest.raises(SystemExit) as caught, guarding():
        raise error
    assert caught.value.code == ConfigError.exit_code
    assert capsys.readouterr().err == "note: 3 files are ignored\nerror: wrong\n"


def test_guarding_name_in_an_error_cannot_move_the_cursor(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit), guarding():
        raise StorageError(os.fsdecode(b"new\nline \x1bc\xff.tgz"))
    assert capsys.readouterr().err == "error: new\\nline \\x1bc\\xff.tgz\n"


def test_guarding_defect_keeps_its_traceback() -> None:
    with pytest.raises(TypeError, match="of the library"), guarding():
        raise TypeError("of the library")


def test_guarding_background_job_ignores_ctrl_c() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with guarding():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("lose", [swallow, raise_another])
def test_keeping_interrupts_raises_a_lost_one(lose: Callable[[], None]) -> None:
    after = []

    def work() -> None:
        with keeping_interrupts():
            lose()
        after.append("reached")

    assert exit_code(begin_work, work) == 130
    assert not after


def test_export_activation_interrupt_lost_in_the_exporter_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def export(*_: object, **__: object) -> None:
        swallow()
        raise RuntimeError("no way of tracing this network works")

    monkeypatch.setattr(torch.onnx, "export", export)
    assert exit_code(begin_work, lambda: export_activation(nn.Identity())) == 130


@posix
@pytest.mark.parametrize("buffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize(
    ("streams", "code", "out", "err"),
    [
        ("2>&-", 0, 3, []),
        ("2>/dev/full", 0, 3, []),
        (">&-", 0, 0, ["begun"]),
        (">/dev/full", 1, 0, ["begun", "error: cannot write to standard output: No space left"]),
        ("| true", 0, 0, ["begun"]),
    ],
)
def test_guarding_stream_that_takes_nothing_stops_no_work(
    tmp_path: Path, streams: str, code: int, out: int, err: list[str], buffered: str
) -> None:
    done = subprocess.run(
        ["bash", "-c", f'set -o pipefail; "$0" -c "$1" {streams}', sys.executable, PROGRAM],
        env={**os.environ, "PYTHONUNBUFFERED": buffered, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        encoding="ascii",
        cwd=tmp_path,
    )
    assert done.returncode == code, done.stderr
    assert (tmp_path / "done").exists()
    assert len(done.stdout.splitlines()) == out
    lines = done.stderr.splitlines()
    assert [line[: len(begin)] for line, begin in zip(lines, err, strict=True)] == err


@posix
@pytest.mark.parametrize(
    ("place", "code", "err"),
    [(">/dev/full", 1, "error: cannot write to standard output: No space left on device\n"),
     ("| true", 0, "")],
)  # fmt: skip
def test_sihwa_help_that_cannot_be_written_is_one_line(place: str, code: int, err: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f'set -o pipefail; "$0" -m sihwa --help {place}', sys.executable],
        capture_output=True,
        encoding="utf-8",
    )
    assert (done.returncode, done.stderr) == (code, err)
