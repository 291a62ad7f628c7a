"""Labels from folders, tables and score tables."""

from pathlib import Path

import pytest

from sihwa.errors import DatasetError
from sihwa.qualification.labelled import LabelSource, read_labelled
from tests.helpers import random_images, save_images


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_read_labelled_folder_per_class(tmp_path: Path) -> None:
    save_images(tmp_path / "good", random_images(2, 20, 20))
    save_images(tmp_path / "얼룩", random_images(1, 20, 20))
    found = read_labelled(LabelSource(tmp_path, group=r"pattern:(\d)\.png"))
    assert [item.label for item in found.items] == ["good", "good", "얼룩"]
    assert [item.group for item in found.items] == ["0", "1", "0"]
    assert found.scores is None


def test_read_labelled_only_the_test_split_is_taken(tmp_path: Path) -> None:
    for split, count in (("train", 3), ("test", 2)):
        save_images(tmp_path / split / "good", random_images(count, 20, 20))
    found = read_labelled(LabelSource(tmp_path))
    assert len(found.items) == 2
    assert any("3 images of the splits train and calibration" in note for note in found.notes)


def test_read_labelled_splits_without_test_images_are_refused(tmp_path: Path) -> None:
    save_images(tmp_path, random_images(1, 20, 20))
    table = write(tmp_path / "t.csv", "path,label,split", "000.png,good,train")
    with pytest.raises(DatasetError, match="none is in the test split"):
        read_labelled(LabelSource(table))


@pytest.mark.parametrize("group", [None, "column:group", "column:part"])
def test_read_labelled_table_with_any_columns(tmp_path: Path, group: str | None) -> None:
    save_images(tmp_path, random_images(2, 20, 20))
    table = write(
        tmp_path / "t.csv",
        "path,label,truth,group,part",
        "000.png,no,good,A,A",
        "001.png,,얼룩,B,B",
    )
    found = read_labelled(LabelSource(table, "truth", group))
    assert [(item.label, item.group) for item in found.items] == [("good", "A"), ("얼룩", "B")]


def test_read_labelled_score_table_leaves_out_rows_without_a_label(tmp_path: Path) -> None:
    table = write(
        tmp_path / "scores.csv", "path,probability_good,label", "a.png,0.5,good", "b.png,0.5, "
    )
    found = read_labelled(LabelSource(table))
    assert [item.path for item in found.items] == ["a.png"]
    assert found.scores is not None
    assert found.scores[0]["probability_good"] == "0.5"
    assert "1 row of scores.csv without a label" in found.notes[0]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (LabelSource(Path("nowhere")), "a folder per class, or a table"),
        (LabelSource(Path(), "truth"), "is no table"),
        (LabelSource(Path("t.csv"), "truth"), "no column 'truth'; columns: path, label"),
        (LabelSource(Path("s.csv")), "no row has a label"),
        (LabelSource(Path("t.csv"), group="column:part"), "no column 'part'"),
    ],
)
def test_read_labelled_bad_source_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: LabelSource, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    save_images(tmp_path, random_images(1, 20, 20))
    write(tmp_path / "t.csv", "path,label", "000.png,good")
    write(tmp_path / "s.csv", "path,label,probability_good", "000.png,,1")
    with pytest.raises(DatasetError, match=message):
        read_labelled(source)
