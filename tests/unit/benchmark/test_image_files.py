"""The images of a benchmark: which ones, in which order, as files."""

import zipfile
from pathlib import Path

import pytest

from sihwa.benchmark.image_files import ImageSize, prepared_images
from sihwa.errors import DatasetError, StorageError
from sihwa.inspector import IMAGES_NAME
from tests.golden.smallest import FOLDER
from tests.helpers import random_images, save_images


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_images(tmp_path / "사진", random_images(4, 40, 50))
    return tmp_path / "사진"


def test_prepared_images_of_an_archive_are_files_for_a_while(folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "parts.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.iterdir()):
            file.write(path, path.name)
    with prepared_images(FOLDER, archive, 3) as (paths, facts):
        assert [Path(path).is_file() for path in paths] == [True] * 3
        assert facts.sizes == [ImageSize(40, 50, 3)]
    assert not any(Path(path).exists() for path in paths)


def test_prepared_images_of_the_inspector_leave_out_close_calls(
    tmp_path: Path, folder: Path
) -> None:
    inspector = tmp_path / "inspector"
    inspector.mkdir()
    names = sorted(folder.iterdir())[:5]
    with zipfile.ZipFile(inspector / IMAGES_NAME, "w") as archive:
        for place, path in enumerate(names):
            archive.write(path, f"{place:03d}{path.suffix}")
    with prepared_images(inspector, None, 100) as (paths, _):
        read = [Path(path).read_bytes() for path in paths]
    assert sorted(read) == sorted(path.read_bytes() for path in names[2:])


def test_prepared_images_are_not_in_the_order_of_their_classes(tmp_path: Path) -> None:
    save_images(tmp_path, random_images(20, 9, 8), prefix="crazing ")
    save_images(tmp_path, random_images(20, 9, 8, seed=1), prefix="scratches ")
    with prepared_images(FOLDER, tmp_path, 100) as (paths, _):
        first = [Path(path).name.split()[0] for path in paths[:20]]
    assert 5 < first.count("scratches") < 15


def test_prepared_images_of_the_usual_size_come_first(tmp_path: Path) -> None:
    save_images(tmp_path / "b", random_images(3, 40, 50))
    save_images(tmp_path / "a", random_images(1, 400, 500))
    with prepared_images(FOLDER, tmp_path, 100) as (paths, facts):
        assert [Path(path).parent.name for path in paths] == ["b", "b", "b", "a"]
        assert facts.usual_size == ImageSize(40, 50, 3)


def test_prepared_images_without_room_to_unpack_say_where(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "parts.zip", "w") as file:
        file.write(next(folder.iterdir()), "a.png")

    def fill(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fill)
    with (
        pytest.raises(StorageError, match=r"cannot write .*000000\.png: No space left"),
        prepared_images(FOLDER, tmp_path / "parts.zip", 3),
    ):
        pass


def test_prepared_images_unreadable_ones_are_named(folder: Path) -> None:
    (folder / "cut.jpg").write_bytes(b"\xff\xd8")
    with prepared_images(FOLDER, folder, 100) as (paths, facts):
        assert len(paths) == 4
        [line] = facts.unreadable
        assert "cut.jpg" in line


@pytest.mark.parametrize(
    ("names", "message"),
    [
        pytest.param([], "no image found", id="none"),
        pytest.param(["a.png"], "the only image", id="one"),
        pytest.param(["a.png", "b.png"], "none of 2", id="several"),
    ],
)
def test_prepared_images_without_a_readable_one_are_refused(
    names: list[str], message: str, tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"no")
    with pytest.raises(DatasetError, match=message), prepared_images(FOLDER, tmp_path, 9):
        pass
