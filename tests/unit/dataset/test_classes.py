"""What the settings make of folders and labels: excluded, left out, merged, compared."""

import os
import sys
import unicodedata
from pathlib import Path

import pytest

from sihwa.dataset import (
    AutoConfig,
    ImageFolderConfig,
    Manifest,
    NeuDetConfig,
    read_as_given,
    read_dataset,
)
from sihwa.dataset.file_choice import mask_notes
from sihwa.errors import ConfigError, DatasetError
from tests.helpers import random_images, save_images

NFD = unicodedata.normalize("NFD", "정상")


def config_of(root: Path, **settings: object) -> ImageFolderConfig:
    return ImageFolderConfig(name="parts", root=str(root), **settings)  # type: ignore[arg-type]


def read(root: Path, **settings: object) -> Manifest:
    return read_dataset(config_of(root, **settings), seed=0)


def make(root: Path, **count: int) -> Path:
    """Make a folder per class, with so many images."""
    for seed, (name, images) in enumerate(count.items()):
        save_images(root / name, random_images(images, 8, 8, seed=seed))
    return root


def labels(manifest: Manifest) -> list[str]:
    return sorted(manifest.table["label"].to_pylist())


def test_read_dataset_leaves_out_service_folders_and_says_so(tmp_path: Path) -> None:
    make(tmp_path, good=5, bad=5)
    make(tmp_path / "good", **{"@eaDir": 2, ".ipynb_checkpoints": 1})
    make(tmp_path, **{"#recycle": 4})
    manifest = read(tmp_path)
    assert labels(manifest) == ["bad"] * 5 + ["good"] * 5
    (note,) = (note for note in manifest.notes if "service" in note)
    assert all(name in note for name in ("#recycle", "@eaDir", ".ipynb_checkpoints"))


@pytest.mark.parametrize("pattern", ["*_MASK.*", "good/*_mask.png", "**/0*_mask*"])
def test_read_dataset_excluded_names_are_not_read(tmp_path: Path, pattern: str) -> None:
    make(tmp_path, good=5, bad=5)
    for path in save_images(tmp_path / "masks", random_images(5, 8, 8, seed=9)):
        path.rename(tmp_path / "good" / f"{path.stem}_mask.png")
    manifest = read(tmp_path, exclude=[pattern, "ground_truth"])
    assert not any("_mask" in path for path in manifest.files)
    assert any("leaves out 5 of" in note for note in manifest.notes)
    assert any("ground_truth leaves out 0 of" in note for note in manifest.notes)


def test_read_dataset_excluded_folder_is_no_class(tmp_path: Path) -> None:
    make(tmp_path, good=5, bad=5)
    save_images(tmp_path / "ground_truth/bad", random_images(5, 8, 8, seed=9))
    assert any("'ground_truth'" in note for note in read(tmp_path).notes)
    assert labels(read(tmp_path, exclude=["ground_truth"])) == ["bad"] * 5 + ["good"] * 5


@pytest.mark.parametrize(("exclude", "fault"), [(["*"], "leaves no image"), ([" "], "expected")])
def test_read_dataset_useless_exclude_is_refused(
    tmp_path: Path, exclude: list[str], fault: str
) -> None:
    make(tmp_path, good=1, bad=1)
    with pytest.raises((DatasetError, ConfigError), match=rf"dataset\.exclude.*{fault}"):
        read(tmp_path, exclude=exclude)


@pytest.mark.parametrize(
    ("names", "setting"),
    [
        (["a/1.png", "a/1_label.bmp", "a/2.png", "a/2_label.bmp", "a/3.png", "b/3_label.bmp"],
         "*_label.*"),
        (["1.jpg", "1.png", "2.jpg", "2.png", "3.jpg", "3.png"], "*.png"),
        (["a-1.png", "a-1-mask.png", "a-2.png", "a-2-mask.png", "a-3.png", "a-3-mask.png"],
         "*-mask.*"),
        (["x/1.png", "gt/1.png"], "gt"),
        (["p_1.png", "p_2.png", "p_3.png", "p.png"], None),
        (["p1_top.png", "p1_side.png", "p2_top.png", "p2_side.png"], None),
    ],
)  # fmt: skip
def test_mask_notes_name_the_setting_that_leaves_masks_out(
    names: list[str], setting: str | None
) -> None:
    found = mask_notes(names)
    assert [f'"dataset.exclude=[{setting}]"' in note for note in found] == [True] * bool(setting)


def test_read_dataset_classes_of_one_name_are_refused_or_merged(tmp_path: Path) -> None:
    make(tmp_path, **{"Good": 5, "good": 6, "ＧＯＯＤ": 4, "bad": 5})
    told = r"'good' .6 .* and 'Good' .5 .* and 'ＧＯＯＤ' .*=\{good: \[Good, ＧＯＯＤ\]\}"
    with pytest.raises(DatasetError, match=told):
        read(tmp_path)
    manifest = read(tmp_path, merge={"good": ["Good", "ＧＯＯＤ"]}, accept_classes=["good"])
    assert labels(manifest) == ["bad"] * 5 + ["good"] * 15
    assert set(read_as_given(config_of(tmp_path)).classes) == {"Good", "good", "ＧＯＯＤ", "bad"}


@pytest.mark.parametrize("name", ["정상", NFD])
def test_read_dataset_class_is_found_in_any_unicode_form(tmp_path: Path, name: str) -> None:
    make(tmp_path, **{NFD: 5, "불량": 5, "기타": 2})
    manifest = read(tmp_path, accept_classes=[name], leave_out=["기타"])
    assert (manifest.classes, manifest.accept_classes) == (("불량", "정상"), ("정상",))
    merged = read(tmp_path, merge={"ok": [name], "ng": ["불량"]}, leave_out=["기타"])
    assert merged.classes == ("ng", "ok")


def test_read_dataset_merged_classes_take_the_place_of_the_first(tmp_path: Path) -> None:
    make(tmp_path, a=1, b=5, c=1, d=4)
    manifest = read(tmp_path, merge={"a": ["c", "d"]}, accept_classes=["b"])
    assert manifest.classes == ("a", "b")
    assert labels(manifest) == ["a"] * 6 + ["b"] * 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"leave_out": ["x"]}, "leave_out: no class 'x'; classes: bad, good"),
        ({"merge": {"y": ["x"]}}, "merge of y: no class 'x'"),
        ({"merge": {"y": ["bad"], "z": ["bad"]}}, "'bad' becomes 'y' and 'z'"),
        ({"merge": {"=1": ["bad"]}}, "begins with ="),
        ({"leave_out": ["bad", "good"]}, "leaves no image"),
        ({"leave_out": ["bad"]}, r"at least two classes, got 1 \(good\)"),
        ({"accept_classes": ["good", "x"]}, "accept_classes: no class 'x'"),
    ],
)
def test_read_dataset_settings_of_classes_that_cannot_be_are_refused(
    tmp_path: Path, settings: dict[str, object], message: str
) -> None:
    make(tmp_path, good=4, bad=4)
    with pytest.raises((ConfigError, DatasetError), match=message):
        read(tmp_path, **settings)


@pytest.mark.parametrize("name", ["no_label", "Unknown", "unlabeled", "none", "기타", "N-A"])
def test_read_dataset_tells_classes_that_nobody_labelled(tmp_path: Path, name: str) -> None:
    make(tmp_path, good=4, bad=4, **{name: 4})
    (note,) = (note for note in read(tmp_path).notes if "labelled" in note)
    assert f'"dataset.leave_out=[{name}]"' in note
    assert not any("labelled" in note for note in read(tmp_path, leave_out=[name]).notes)


@pytest.mark.parametrize(
    ("images", "absent"), [(2, ["calibration", "test"]), (3, ["calibration"]), (4, [])]
)
def test_read_dataset_small_class_is_trained_on_first(
    tmp_path: Path, images: int, absent: list[str]
) -> None:
    manifest = read(make(tmp_path, good=9, rare=images))
    assert manifest.counts["rare"]["train"] == 2
    assert [name for name, count in manifest.counts["rare"].items() if not count] == absent
    told = [note.split()[1] for note in manifest.notes if note.startswith("no ") and "rare" in note]
    assert told == absent


def test_read_dataset_class_absent_in_a_given_test_split_is_told(tmp_path: Path) -> None:
    make(tmp_path / "train", good=6, scratch=6, dent=6)
    for seed, name in enumerate(("good", "scratch"), start=7):
        save_images(tmp_path / "test" / name, random_images(3, 8, 8, seed=seed))
    manifest = read(tmp_path)
    assert manifest.counts["dent"]["test"] == 0
    assert any("no test image of dent" in note for note in manifest.notes)


def test_read_dataset_tells_that_all_images_were_dropped(tmp_path: Path) -> None:
    for path in make(tmp_path, good=2, bad=2).rglob("*.png"):
        path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(DatasetError, match="got 0: 4 of 4 images could not be read and were drop"):
        read(tmp_path, on_unreadable="drop")
    with pytest.raises(DatasetError, match="got 0: 4 of 4 images could not be read"):
        read_as_given(config_of(tmp_path))


def test_read_dataset_tells_a_class_of_which_no_image_could_be_read(tmp_path: Path) -> None:
    make(tmp_path, good=4, ng=4, blister=1)
    (tmp_path / "blister/000.png").write_bytes(b"x")
    manifest = read(tmp_path, on_unreadable="drop")
    assert manifest.classes == ("good", "ng")
    assert any("'blister'" in note for note in manifest.notes)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_read_dataset_class_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    make(tmp_path, good=4, ng=4)
    (tmp_path / "ng").rename(tmp_path / os.fsdecode(b"\xba\xd2"))
    with pytest.raises(DatasetError, match="is not UTF-8"):
        read(tmp_path)


def test_read_dataset_letters_without_a_width_make_no_other_class(tmp_path: Path) -> None:
    make(tmp_path, **{"good": 4, "ng": 4, "good\u200b": 1})
    assert read(tmp_path).classes == ("good", "ng")


def test_read_dataset_error_carries_the_notes_of_what_came_before(tmp_path: Path) -> None:
    make(tmp_path / "outer", good=4, bad=1)
    make(tmp_path / "outer" / ".hidden", good=1)
    with pytest.raises(DatasetError, match="'bad'") as error:
        read(tmp_path)
    notes = error.value.__notes__
    assert any(".hidden" in note for note in notes)
    assert any("outer" in note for note in notes)


def test_read_dataset_error_of_the_layout_carries_notes_on_the_files(tmp_path: Path) -> None:
    make(tmp_path, good=4, bad=4)
    make(tmp_path / ".hidden", good=1)
    make(tmp_path / "test", good=1)
    with pytest.raises(DatasetError, match="got splits") as error:
        read(tmp_path)
    assert any(".hidden" in note for note in error.value.__notes__)
    for other in (NeuDetConfig, AutoConfig):
        with pytest.raises(DatasetError) as error:
            read_as_given(other(name="x", root=str(tmp_path)))
        assert any(".hidden" in note for note in error.value.__notes__)


def test_read_dataset_export_without_class_folders_is_refused_by_name(tmp_path: Path) -> None:
    make(tmp_path / "coco", train=3, valid=2)
    (tmp_path / "coco/train/_annotations.coco.json").write_text("{}")
    with pytest.raises(DatasetError, match=r"a COCO export; .* one folder per class"):
        read(tmp_path / "coco")
    make(tmp_path / "geti/images", default=3)
    (tmp_path / "geti/annotations").mkdir()
    (tmp_path / "geti/annotations/default.json").write_text("{}")
    with pytest.raises(DatasetError, match="Geti and CVAT"):
        read(tmp_path / "geti")
    make(tmp_path / "csv", train=3, valid=2)
    (tmp_path / "csv/train/_classes.csv").write_text("")
    with pytest.raises(DatasetError, match=r"Roboflow's export .* dataset=manifest"):
        read(tmp_path / "csv")
