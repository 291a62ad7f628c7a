from datetime import datetime
from pathlib import Path

import pytest

from sihwa.errors import StorageError
from sihwa.run.run_folder import create_run_folder, point_latest

NOW = datetime(2026, 1, 2, 3, 4, 5)


def test_create_run_folder_same_second_gets_another_folder(tmp_path: Path) -> None:
    first, second = create_run_folder(tmp_path, NOW), create_run_folder(tmp_path, NOW)
    assert first == tmp_path / "2026-01-02" / "03-04-05"
    assert second == tmp_path / "2026-01-02" / "03-04-05-2"


def test_create_run_folder_file_in_the_way_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="output_dir: cannot make"):
        create_run_folder(tmp_path / "file", NOW)


def test_point_latest_moves_to_the_newest(tmp_path: Path) -> None:
    for _ in range(2):
        folder = create_run_folder(tmp_path, NOW)
        point_latest(tmp_path, folder)
    assert (tmp_path / "latest").resolve() == folder


def test_point_latest_without_links_names_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    folder = create_run_folder(tmp_path, NOW)
    assert point_latest(tmp_path, folder) == tmp_path / "latest.txt"
    assert (tmp_path / "latest.txt").read_text("utf-8").strip() == str(folder)
