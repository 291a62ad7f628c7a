"""Scoring as a process: killed, stopped, out of disk, two at once, watching."""

import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import typer

from sihwa.commands.cli import app, score, verify
from sihwa.scoring.table import table_folder
from tests.helpers import limit_files, random_images, save_images
from tests.score_helpers import assert_same, files_of, finish, many_links, read, start

ROOT = Path(__file__).parents[2]


@pytest.fixture
def many(tmp_path: Path) -> Path:
    return many_links(tmp_path / "부품", 410)


def wait_for(process: subprocess.Popen[str], seconds: float) -> bool:
    """Let a process run for so long; say whether it is done."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


@pytest.mark.parametrize("name", ["scores.csv", "scores.jsonl", "scores"])
@pytest.mark.parametrize("kills", [2, pytest.param(17, marks=pytest.mark.slow)])
def test_score_killed_at_random_moments_and_resumed_is_the_whole_table(
    tiny_bundle: Path, many: Path, tmp_path: Path, name: str, kills: int
) -> None:
    begin = time.monotonic()
    code, _, err = finish(start(tiny_bundle, many, "--out", tmp_path / f"whole-{name}"))
    seconds = time.monotonic() - begin
    assert code == 0, err
    whole = read(tmp_path / f"whole-{name}")
    assert len(whole) == 410
    rng = random.Random(kills)
    killed = lengths = 0
    while killed < kills:
        out = tmp_path / f"{killed}-{name}"
        while killed < kills:
            process = start(tiny_bundle, many, "--out", out, "--resume")
            # what is not the start of Python and its libraries is met more often
            if wait_for(process, seconds * rng.choice((rng.uniform(0, 1), rng.uniform(0.5, 1)))):
                assert finish(process)[0] == 0
                break
            process.kill()
            process.communicate()
            killed += 1
            lengths += (table_folder(out) / "rows").exists()
        code, _, err = finish(start(tiny_bundle, many, "--out", out, "--resume"))
        assert code == 0, err
        assert_same(read(out), whole)
    assert lengths or kills < 5, "no kill met a table"


@pytest.fixture(params=["files of 20,000 bytes", "small disk"])
def disk(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[Path, Callable[[], None] | None]]:
    """A folder whose disk fills within a run, and what to call in the process before."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if request.param != "small disk":
        yield folder, partial(limit_files, 20_000)  # larger than any shard, not than the table
        return
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this user may not mount a small disk")
    (folder / "ballast").write_bytes(bytes(1_998_576))
    try:
        yield folder, None
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("name", ["scores.csv", "scores.jsonl"])
def test_score_disk_full_in_the_middle_is_one_line_and_can_be_resumed(
    tiny_bundle: Path,
    many: Path,
    tmp_path: Path,
    disk: tuple[Path, Callable[[], None] | None],
    name: str,
) -> None:
    out = disk[0] / name
    code, _, err = finish(start(tiny_bundle, many, "--out", out, before=disk[1]))
    assert code == 1
    [line] = [line for line in err.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: cannot write {out}")
    assert not out.exists()
    assert 0 < pq.read_table(table_folder(out) / "rows").num_rows <= 410
    (disk[0] / "ballast").unlink(missing_ok=True)
    code, _, err = finish(start(tiny_bundle, many, "--out", out, "--resume"))
    assert code == 0, err
    code, _, err = finish(start(tiny_bundle, many, "--out", tmp_path / name))
    assert_same(read(out), read(tmp_path / name))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_score_stopped_by_a_signal_writes_its_rows(
    tiny_bundle: Path, many: Path, tmp_path: Path, number: int, code: int
) -> None:
    out = tmp_path / "scores.jsonl"
    process = start(tiny_bundle, many, "--out", out)
    assert process.stderr
    assert process.stderr.readline().startswith("inspector ")
    while not list(tmp_path.glob("scores.jsonl.shards/rows/*.parquet")):
        assert process.poll() is None
    process.send_signal(number)
    found, _, err = finish(process)
    summary = json.loads((tmp_path / "scores.jsonl.shards" / "summary.json").read_bytes())
    rows = read(out)
    assert summary["images"] == len(rows) > 0
    if found:  # else it was done before it was told
        assert (found, summary["state"]) == (code, "stopped")
        assert "Continue with --resume" in err
    assert finish(start(tiny_bundle, many, "--out", out, "--resume"))[0] == 0
    assert len(read(out)) == 410


def test_score_second_process_on_one_table_is_refused(
    tiny_bundle: Path, many: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scores.jsonl"
    with start(tiny_bundle, many, "--out", out, "--watch") as first:
        assert first.stderr
        assert first.stderr.readline().startswith("inspector ")
        while not out.exists():
            assert first.poll() is None
        code, _, err = finish(start(tiny_bundle, many, "--out", out, "--resume"))
        assert code == 1
        assert err.splitlines()[-1].startswith(f"error: {out}: another process is writing there")
        first.kill()
    # the kernel let go of the lock
    assert finish(start(tiny_bundle, many, "--out", out, "--resume"))[0] == 0


def lines_of(path: Path, count: int, process: subprocess.Popen[str]) -> list[dict[str, object]]:
    """Return the rows of a table once there are so many."""
    deadline = time.monotonic() + 60
    while True:
        content = path.read_bytes() if path.exists() else b""
        if content.count(b"\n") >= count:
            whole, _, _ = content.rpartition(b"\n")  # the last row may be being written
            return [json.loads(line) for line in whole.splitlines()]
        assert process.poll() is None
        assert time.monotonic() < deadline, f"only {content.count(bytes([10]))} rows came"


def test_score_watch_takes_each_file_once_it_is_complete(tiny_bundle: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "카메라", tmp_path / "scores.jsonl"
    [early, late, slow, moved] = save_images(tmp_path / "given", random_images(4, 50, 60))
    folder.mkdir()
    shutil.copy(early, folder / "early.png")
    process = start(tiny_bundle, folder, "--out", out, "--watch")
    lines_of(out, 1, process)
    with (folder / "slow.png").open("wb") as file:
        file.write(slow.read_bytes()[:500])
        file.flush()
        shutil.copy(late, folder / "late.png")
        (folder / "notes.txt").touch()
        shutil.copytree(tmp_path / "given", tmp_path / "new folder")
        (tmp_path / "new folder").rename(folder / "new")
        # the slow one keeps changing while the others come in
        while out.read_bytes().count(b"\n") < 6:
            os.utime(file.fileno())
            assert process.poll() is None
        assert not any("slow.png" in str(row["path"]) for row in lines_of(out, 6, process))
        file.write(slow.read_bytes()[500:])
    rows = lines_of(out, 7, process)
    process.send_signal(signal.SIGTERM)
    code, _, err = finish(process)
    assert code == 0, err
    assert [row["error"] for row in rows] == [None] * 7
    names = {str(row["path"]).removeprefix(f"{folder}/") for row in rows}
    given = {f"new/{path.name}" for path in (early, late, slow, moved)}
    assert names == {"early.png", "late.png", "slow.png"} | given


def test_score_watch_overwritten_file_is_counted_and_resume_scores_it_again(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "in", tmp_path / "scores.jsonl"
    first, second, third, mark, last = save_images(tmp_path / "given", random_images(5, 50, 60))
    folder.mkdir()
    shutil.copy(first, folder / "latest.png")
    shutil.copy(mark, folder / "same.png")
    process = start(tiny_bundle, folder, "--out", out, "--watch")
    before = lines_of(out, 2, process)
    for number, image in enumerate((second, third)):
        shutil.copy(image, folder / "latest.png")
        (folder / "same.png").chmod(0o600)
        shutil.copy(last, folder / f"{number}.png")
        lines_of(out, 3 + number, process)
    process.send_signal(signal.SIGTERM)
    code, told, err = finish(process)
    assert code == 0, err
    assert "1 files changed after they were scored; --resume" in told
    assert "named twice" not in told
    assert lines_of(out, 4, process)[:2] == before
    _, told, _ = finish(start(tiny_bundle, folder, "--out", out, "--resume"))
    assert "1 files or lists were scored again: they changed" in told


@pytest.mark.parametrize("command", [score, verify], ids=["score", "verify"])
def test_help_shows_examples_that_can_be_pasted(command: Callable[..., None]) -> None:
    name = command.__name__
    done = subprocess.run(
        [sys.executable, "-m", "sihwa", name, "--help"],
        env={**os.environ, "COLUMNS": "80"},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0
    lines = [line.strip() for line in done.stdout.splitlines()]
    given = [line.strip() for line in (command.__doc__ or "").splitlines()]
    examples = [line for line in given if line.startswith("sihwa ")]
    assert len(examples) >= 3
    assert [line for line in given if line and "[bold]" not in line and line not in lines] == []
    parser = typer.main.get_command(app)
    for example in examples:
        parser.make_context("sihwa", shlex.split(example)[1:])
    shown = {
        "score": ("--resume", "--watch", "--device", "--engine"),
        "verify": ("--limit", "[default: cpu]"),
    }
    assert all(option in done.stdout for option in shown[name])


@pytest.mark.slow
def test_score_memory_stays_flat(tiny_bundle: Path, tmp_path: Path) -> None:
    [given] = save_images(tmp_path / "given", random_images(1, 8, 8))
    peaks = []
    for count in (2_000, 20_000):
        folder = tmp_path / str(count)
        folder.mkdir()
        for number in range(count):
            (folder / f"{number:07d}.png").hardlink_to(given)
        # not of pytest's own child, which would inherit the peak of pytest
        done = subprocess.run(
            [sys.executable, ROOT / "benchmarks/peak.py", sys.executable, "-m", "sihwa", "score",
             tiny_bundle, folder, "--out", tmp_path / f"{count} scores"],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        peaks.append(int(done.stdout))
    assert peaks[1] <= 1.15 * peaks[0]
    table = pd.read_parquet(tmp_path / "20000 scores" / "rows")
    assert len(set(files_of(table.astype(object).where(table.notna(), None)))) == 20_000
