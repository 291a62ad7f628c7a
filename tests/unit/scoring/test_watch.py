import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest

from sihwa.scoring.block import Entry
from sihwa.scoring.resume import Ledger
from sihwa.scoring.sources import Sources
from sihwa.scoring.watch import Arrivals
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
