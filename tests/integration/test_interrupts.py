"""Ctrl-C while a program imports its packages or composes its settings: one line, exit code 130."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRESS = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"
COMPOSE = f"""
from sihwa.terminal.guard import guarding
with guarding():
    import sihwa.run.compose
    from sihwa.commands.cli import train
    def pressed(*_):
        try:
            exec({PRESS!r})
            while True: pass
        except BaseException:
            raise RuntimeError("an error of the library's own")
    sihwa.run.compose.OmegaConf.to_object = pressed
    train(["dataset=elpv"])
"""
LINE = "interrupted; no partial files were left behind\n"
SWALLOW = f"try:\n    exec({PRESS!r})\n    while True: pass\nexcept BaseException: pass\n"


@pytest.mark.parametrize(
    ("words", "package"),
    [
        pytest.param(["-m", "sihwa"], "typer", id="sihwa at typer"),
        pytest.param(["-m", "sihwa", "train"], "hydra", id="sihwa train at hydra"),
        pytest.param(["train.py", "resume=nowhere"], "torch", id="train.py at torch"),
        pytest.param(["scripts/score.py"], "typer", id="score.py at typer"),
        pytest.param(["scripts/verify.py"], "msgspec", id="verify.py at msgspec"),
    ],
)
@pytest.mark.parametrize("pressed", [PRESS, SWALLOW], ids=["", "in a package that swallows it"])
def test_command_interrupted_while_it_imports_is_one_line(
    words: list[str], package: str, pressed: str, tmp_path: Path
) -> None:
    (tmp_path / f"{package}.py").write_text(pressed)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert (done.stderr, done.returncode) == (LINE, 130)


def test_training_interrupted_while_it_composes_is_one_line() -> None:
    program = [sys.executable, "-c", COMPOSE]
    done = subprocess.run(program, capture_output=True, encoding="utf-8", timeout=60)
    assert (done.stderr, done.returncode) == (LINE, 130)
