from pathlib import Path

import pytest

from sihwa.errors import StorageError
from sihwa.storage import usable_folder


def test_usable_folder_is_made_and_stays_empty(tmp_path: Path) -> None:
    with usable_folder(tmp_path / "a" / "b"):
        assert list((tmp_path / "a" / "b").iterdir()) == []
    assert (tmp_path / "a" / "b").is_dir()


def test_usable_folder_after_an_error_only_what_was_made_and_is_empty_is_gone(
    tmp_path: Path,
) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(KeyboardInterrupt), usable_folder(tmp_path / "mine" / "a" / "b"):
        raise KeyboardInterrupt
    assert list((tmp_path / "mine").iterdir()) == []
    with pytest.raises(KeyboardInterrupt), usable_folder(tmp_path / "mine"):
        raise KeyboardInterrupt
    assert (tmp_path / "mine").is_dir()


def test_usable_folder_after_an_error_results_stay(tmp_path: Path) -> None:
    def write_and_stop() -> None:
        (tmp_path / "kept" / "result").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), usable_folder(tmp_path / "kept"):
        write_and_stop()
    assert (tmp_path / "kept" / "result").exists()


def test_usable_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with (
        pytest.raises(StorageError, match=r"cannot write .*taken"),
        usable_folder(tmp_path / "taken"),
    ):
        pass
    assert (tmp_path / "taken").is_file()
