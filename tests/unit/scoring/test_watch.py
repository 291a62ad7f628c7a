import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest

from sihwa.scoring import ScoreOptions
from sihwa.scoring.block import Entry
from sihwa.scoring.resume import Ledger
from sihwa.scoring.sources import Sources
from sihwa.scoring.table import table_folder
from sihwa.scoring.watch import Arrivals
from tests.helpers import random_images, save_images
from tests.score_helpers import FORMATS, read, score
from tests.unit.images.forge import write

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")


class Watch:
    """Folders under watch."""

    def __init__(self, arrivals: Arrivals, ledger: Ledger) -> None:
        self._rounds = arrivals.until_stopped(ledger)
        self._ledger = ledger

    def until(self, last: str) -> list[str]:
        """Return what came, sorted, until some time after a name that is waited for."""
        came: list[str] = []
        give_up, end = time.monotonic() + 30, 0.0
        for entries in self._rounds:
            came += [entry.path for entry in entries if self._ledger.list(entry.path) == "new"]
            if not end and any(path.endswith(last) for path in came):
                end = time.monotonic() + 1.5
            if end and time.monotonic() > end:
                break
            assert time.monotonic() < give_up, came
        return sorted(came)


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with closing(Ledger()) as ledger:
        yield ledger


@posix
@pytest.mark.parametrize("begin", ["before", "after"])
def test_arrivals_follow_links_to_folders_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ledger: Ledger, begin: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "in/sub/0.png")
    linked = [f"in/link/{Path(path).name}" for path in write(tmp_path, "out/4.png", "out/5.png")]
    ledger.list("in/sub/0.png")

    def link() -> None:
        (tmp_path / "in/link").symlink_to("../out")
        (tmp_path / "in/loop").symlink_to(".")

    if begin == "before":
        link()
    with closing(Arrivals(Sources(["in//"]), Event())) as arrivals:
        if begin == "after":
            link()
        write(tmp_path, "out/6.png", "in/loop/sub/2.png", "in/@eaDir/3.png")
        came = Watch(arrivals, ledger).until("6.png")
        assert came == [*linked, "in/link/6.png", "in/sub/2.png"]


@posix
@pytest.mark.parametrize("name", [b"\xff.png", b"\xfe/a.png"], ids=["file", "folder"])
def test_arrivals_continue_after_a_name_that_is_not_unicode(
    tmp_path: Path, ledger: Ledger, name: bytes
) -> None:
    with closing(Arrivals(Sources([str(tmp_path)]), Event())) as arrivals:
        watch = Watch(arrivals, ledger)
        write(tmp_path, os.fsdecode(name))
        assert watch.until(".png") == [str(tmp_path / os.fsdecode(name))]
        write(tmp_path, "later.png")
        assert watch.until("later.png") == [str(tmp_path / "later.png")]


@posix
def test_arrivals_link_that_leads_nowhere_arrives(tmp_path: Path, ledger: Ledger) -> None:
    with closing(Arrivals(Sources([str(tmp_path)]), Event())) as arrivals:
        watch = Watch(arrivals, ledger)
        (tmp_path / "dead.png").symlink_to("gone.png")
        assert watch.until("dead.png") == [str(tmp_path / "dead.png")]


def test_arrivals_file_half_written_at_the_start_comes_once_it_is_complete(
    tmp_path: Path, ledger: Ledger
) -> None:
    old, new = write(tmp_path, "old.png", "new.png")
    os.utime(old, (1, 1))
    with closing(Arrivals(Sources([str(tmp_path)]), Event())) as arrivals:
        os.utime(new)
        assert list(arrivals.settled([Entry(old), Entry(new)])) == [Entry(old)]
        assert Watch(arrivals, ledger).until("new.png") == [new]


def arrive(
    monkeypatch: pytest.MonkeyPatch, *steps: tuple[Callable[[], object], list[Path]]
) -> None:
    """Do each step, then let its files arrive as complete."""

    def until_stopped(self: Arrivals, ledger: Ledger) -> Iterator[list[Entry]]:
        for change, files in steps:
            change()
            yield [Entry(str(file)) for file in files]

    monkeypatch.setattr(Arrivals, "until_stopped", until_stopped)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("seconds", [0.0, 60.0], ids=["in a shard", "waiting"])
def test_watch_file_read_while_its_copy_stalled_has_the_row_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, seconds: float
) -> None:
    monkeypatch.setattr("sihwa.scoring.shards._SECONDS", seconds)
    folder, out = tmp_path / "in", tmp_path / name
    whole, early, other = save_images(tmp_path / "given", random_images(3, 50, 60))
    slow, broken, late = (folder / f"{one}.png" for one in ("slow", "broken", "late"))
    folder.mkdir()
    shutil.copy(early, folder / "early.png")
    os.utime(folder / "early.png", (1, 1))
    grown: list[str] = []

    def finish_copy() -> None:
        slow.write_bytes(whole.read_bytes())
        (folder / "early.png").write_bytes(other.read_bytes())

    arrive(
        monkeypatch,
        (lambda: slow.write_bytes(whole.read_bytes()[:500]), [slow]),
        (lambda: broken.write_bytes(b"x"), [broken]),
        (finish_copy, [slow, folder / "early.png", broken]),
        (lambda: late.write_bytes(whole.read_bytes()), [late]),
        (lambda: grown.append(out.read_text("utf-8") if out.is_file() else ""), []),
    )
    summary = score(folder, out, ScoreOptions(watch=True))
    table = read(out)
    assert [Path(path).stem for path in table.path] == ["early", "broken", "slow", "late"]
    assert table.error.isna().tolist() == [True, False, True, True]
    assert (summary.images, summary.changed, summary.overwritten) == (4, 1, 1)
    assert (summary.new_images, summary.kept) == (4, 0)
    assert sum(summary.errors.values()) == 1
    facts = json.loads((table_folder(out) / "summary.json").read_bytes())
    assert sum(facts["decisions"].values()) == 4
    if seconds == 0.0 and out.suffix in (".csv", ".jsonl"):
        assert grown[0].count("slow.png") == 1
    monkeypatch.undo()
    again = score(folder, out)
    assert (again.new_images, again.changed) == (1, 1)  # early.png, which was readable


def test_ledger_file_with_an_error_is_due_again_once_it_changed(
    tmp_path: Path, ledger: Ledger
) -> None:
    path = tmp_path / "a.png"
    row = {"path": str(path), "path_bytes": None, "page": None, "error": "damaged"}
    path.write_bytes(b"half")
    size, modified_ns = path.stat().st_size, path.stat().st_mtime_ns
    ledger.add({**row, "size": size, "modified_ns": modified_ns})
    assert not ledger.is_due_again(str(path))
    path.write_bytes(b"whole file")
    assert ledger.is_due_again(str(path))
    path.unlink()
    assert not ledger.is_due_again(str(path))
    ledger.forget(str(path))
    assert not ledger.has(str(path))
    ledger.add({**row, "size": None, "modified_ns": None})
    assert not ledger.is_due_again(str(path))
    path.write_bytes(b"readable")
    assert ledger.is_due_again(str(path))
    ledger.forget(str(path))
    ledger.add({**row, "size": 1, "modified_ns": 1, "error": None})
    assert not ledger.is_due_again(str(path))


def test_arrivals_share_that_reports_nothing_finds_a_file_with_an_error_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ledger: Ledger
) -> None:
    path, good = write(tmp_path, "a.png", "b.png")
    for one, error in ((path, "damaged"), (good, None)):
        ledger.add({"path": one, "path_bytes": None, "page": None, "error": error, "size": 1,
                    "modified_ns": 1})  # fmt: skip
    monkeypatch.setattr("sihwa.scoring.watch._RESCAN_SECONDS", 0.0)
    monkeypatch.setattr("sihwa.scoring.watch._SETTLED_SECONDS", 0.0)
    with closing(Arrivals(Sources([str(tmp_path)]), Event())) as arrivals:
        rounds = arrivals.until_stopped(ledger)
        came = [entry.path for _ in range(3) for entry in next(rounds)]
    assert came == [path]
