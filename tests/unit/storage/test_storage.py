import contextlib
import errno
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sihwa.errors import StorageError
from sihwa.storage import hold, new_folder, replacing, usable_folder


def interrupt() -> None:
    raise KeyboardInterrupt


def test_usable_folder_after_an_error_only_new_empty_ones_go(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for folder in ("mine/a/b", "mine"):
        with pytest.raises(KeyboardInterrupt), usable_folder(tmp_path / folder):
            interrupt()
        assert list((tmp_path / "mine").iterdir()) == []


def test_usable_folder_after_an_error_results_stay(tmp_path: Path) -> None:
    result = tmp_path / "kept" / "result"

    def write_and_stop() -> None:
        result.touch()
        interrupt()

    with pytest.raises(KeyboardInterrupt), usable_folder(result.parent):
        write_and_stop()
    assert result.exists()


def test_usable_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with (
        pytest.raises(StorageError, match=r"cannot write .*taken"),
        usable_folder(tmp_path / "taken"),
    ):
        pass
    assert (tmp_path / "taken").is_file()


@pytest.mark.parametrize("open_temporary", [replacing, new_folder])
def test_temporary_after_an_interrupt_is_gone(
    open_temporary: Callable[[Path], object], tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt), open_temporary(tmp_path / "a"):  # type: ignore[attr-defined]
        interrupt()
    assert list(tmp_path.iterdir()) == []


def test_hold_second_process_is_refused(tmp_path: Path) -> None:
    with (
        hold(tmp_path / ".lock", tmp_path, "Wait"),
        pytest.raises(StorageError, match=r"another process is writing there\. Wait"),
        hold(tmp_path / ".lock", tmp_path, "Wait"),
    ):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="has other locks")
@pytest.mark.parametrize("number", ["ENOLCK", "EOPNOTSUPP", "ENOSYS", "EINVAL"])
def test_hold_share_without_locks_is_written_with_one_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: str
) -> None:
    import fcntl

    def refuse(*_: object) -> None:
        raise OSError(getattr(errno, number), "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    for _ in range(2):
        with hold(tmp_path / "new/.lock", tmp_path / "new", ""):
            (tmp_path / "new/a").touch()
    assert capsys.readouterr().err.count("without locks") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="syncs no folder")
@pytest.mark.parametrize(("number", "fails"), [("EINVAL", False), ("EIO", True)])
def test_replacing_share_that_syncs_no_folder_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: str, fails: bool
) -> None:
    original = os.fsync

    def refuse(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(getattr(errno, number), "refused")
        original(handle)

    monkeypatch.setattr(os, "fsync", refuse)
    expected = pytest.raises(StorageError, match="refused") if fails else contextlib.nullcontext()
    with expected, replacing(tmp_path / "a") as temporary:
        temporary.write_text("whole")
    assert (tmp_path / "a").read_text() == "whole"
