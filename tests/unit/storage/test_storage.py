from collections.abc import Callable
from pathlib import Path

import pytest

from sihwa.errors import StorageError
from sihwa.storage import new_folder, replacing, usable_folder


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
