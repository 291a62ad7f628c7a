import unicodedata
import zipfile
from pathlib import Path

import pytest

from sihwa.dataset import ElpvConfig, ImageFolderConfig, NeuDetConfig, TabularConfig
from sihwa.dataset.elpv import find_elpv
from sihwa.dataset.image_folder import find_image_folder
from sihwa.dataset.item import Source
from sihwa.dataset.neu_det import find_neu_det, read_boxes
from sihwa.dataset.tabular import find_tabular
from sihwa.errors import DatasetNotFound, EmptyDataset, InvalidLabels
from tests.helpers import neu_det

ANNOTATION = """<annotation><object><name>{0}</name><bndbox><xmin>1</xmin><ymin>2</ymin>
<xmax>30</xmax><ymax>40</ymax></bndbox></object><object><name>inclusion</name><bndbox>
<xmin>5</xmin><ymin>6</ymin><xmax>7</xmax><ymax>8</ymax></bndbox></object></annotation>"""


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def facts(source: Source, root: Path) -> set[tuple[str, str, str | None]]:
    return {
        (item.path.removeprefix(f"{root}").lstrip("!/"), item.label, item.split)
        for item in source.items
    }


def find_folder(root: Path) -> Source:
    return find_image_folder(ImageFolderConfig(root=str(root)))


def test_find_image_folder_classes_at_any_depth(tmp_path: Path) -> None:
    touch(tmp_path, "good/a.png", "good/shift 1/left/b.JPG", "긁힘/c.bmp", "긁힘/notes.txt")
    source = find_folder(tmp_path)
    assert source.classes == ("good", "긁힘")
    assert facts(source, tmp_path) == {
        ("good/a.png", "good", None),
        ("good/shift 1/left/b.JPG", "good", None),
        ("긁힘/c.bmp", "긁힘", None),
    }


def test_find_image_folder_names_folders_without_images(tmp_path: Path) -> None:
    touch(tmp_path, "outer/train/good/x/a.png", "outer/train/bad/b.png", "outer/test/bad/c.png")
    assert find_folder(tmp_path).notes == ()
    for empty in ("none", "outer/calibration", "outer/train/긁힘/deep", "outer/.cache"):
        (tmp_path / empty).mkdir(parents=True)
    (tmp_path / "outer/test/good").mkdir()
    (tmp_path / "outer/test/good/notes.txt").touch()
    (tmp_path / "outer/test/link").symlink_to(tmp_path / "outer/train/bad")
    *found, last = find_folder(tmp_path).notes
    assert found == [
        f"no image in {tmp_path / 'none'}, so it is no class",
        f"no image in {tmp_path / 'outer/calibration'}, so it is no class",
        f"no image in {tmp_path / 'outer/test/good'}, so it is no class",
        f"{tmp_path / 'outer/test/link'} is a link, which is not followed: its images are not used",
        f"no image in {tmp_path / 'outer/train/긁힘'}, so it is no class",
    ]
    assert last == "files that are no images by their names, and are not used: 1"


@pytest.mark.parametrize("name", ["calibration", "val", "Validation", "valid"])
def test_find_image_folder_given_splits_are_read(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "train/good/a.png", f"{name}/good/b.png", "test/bad/x/c.png")
    assert facts(find_folder(tmp_path), tmp_path) == {
        ("train/good/a.png", "good", "train"),
        (f"{name}/good/b.png", "good", "calibration"),
        ("test/bad/x/c.png", "bad", "test"),
    }


def test_find_image_folder_a_zip_with_one_outer_folder_is_passed_through(tmp_path: Path) -> None:
    archive = tmp_path / "parts.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("부품/good/a.png", "부품/bad/b.png"):
            file.writestr(name, b"")
    assert facts(find_folder(archive), archive) == {
        ("부품/good/a.png", "good", None),
        ("부품/bad/b.png", "bad", None),
    }


def test_find_image_folder_letters_in_parts_and_whole_are_one_class(tmp_path: Path) -> None:
    touch(tmp_path, "good/a.png", unicodedata.normalize("NFD", "긁힘") + "/b.png", "긁힘/c.png")
    assert find_folder(tmp_path).classes == ("good", "긁힘")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        pytest.param(["a.png", "good/b.png"], "a.png: expected it below <class>/", id="loose"),
        pytest.param(
            ["train/a.png", "test/good/b.png"], "expected it below <split>/<class>/", id="no class"
        ),
        pytest.param(
            ["train/good/a.png", "scratch/b.png"], "got splits .train. beside scratch", id="mixed"
        ),
        pytest.param(["go\nod/a.png", "bad/b.png"], "the label .*U.000A", id="control"),
    ],
)
def test_find_image_folder_another_layout_is_refused(
    tmp_path: Path, names: list[str], message: str
) -> None:
    touch(tmp_path, *names)
    with pytest.raises(InvalidLabels, match=message):
        find_folder(tmp_path)


def test_find_image_folder_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFound, match=r"expected a folder or a \.zip, found nothing"):
        find_folder(tmp_path / "nowhere")
    touch(tmp_path, "readme.txt")
    with pytest.raises(EmptyDataset, match="it holds 1 other files"):
        find_folder(tmp_path)
    with pytest.raises(DatasetNotFound, match=r"found a file that is no \.zip"):
        find_folder(tmp_path / "readme.txt")
    (tmp_path / "broken.zip").write_bytes(b"PK\3\4")
    with pytest.raises(DatasetNotFound, match=r"not a readable \.zip"):
        find_folder(tmp_path / "broken.zip")


def find_neu(root: Path) -> Source:
    return find_neu_det(NeuDetConfig(root=str(root)))


def test_find_neu_det_official_layout_keeps_the_boxes(tmp_path: Path) -> None:
    touch(tmp_path, "IMAGES/scratches_1.jpg", "IMAGES/pitted_surface_12.jpg", "ANNOTATIONS/x")
    (tmp_path / "ANNOTATIONS/scratches_1.xml").write_text(ANNOTATION.format("scratches"))
    source = find_neu(tmp_path)
    assert facts(source, tmp_path) == {
        ("IMAGES/scratches_1.jpg", "scratches", None),
        ("IMAGES/pitted_surface_12.jpg", "pitted_surface", None),
    }
    boxes = {item.label: item.boxes for item in source.items}
    assert boxes["scratches"] == (("scratches", 1, 2, 30, 40), ("inclusion", 5, 6, 7, 8))
    assert boxes["pitted_surface"] is None
    assert source.notes == ("1 images have no annotation",)


def test_find_neu_det_validation_layout_is_the_test_split(tmp_path: Path) -> None:
    touch(tmp_path, "NEU-DET/train/images/crazing/crazing_1.jpg",
          "NEU-DET/validation/images/rolled-in_scale/rolled-in_scale_9.jpg")  # fmt: skip
    (tmp_path / "NEU-DET/train/annotations").mkdir()
    annotation = tmp_path / "NEU-DET/train/annotations/crazing_1.xml"
    annotation.write_text(ANNOTATION.format("crazing"))
    source = find_neu(tmp_path)
    assert {(item.label, item.split) for item in source.items} == {
        ("crazing", "train"),
        ("rolled-in_scale", "test"),
    }
    assert [len(item.boxes or ()) for item in source.items] == [2, 0]


def test_find_neu_det_bare_files_need_no_annotation(tmp_path: Path) -> None:
    names = ("Cr_1.bmp", "In_2.bmp", "Pa_3.bmp", "PS_4.bmp", "RS_5.bmp", "Sc_300.bmp")
    touch(tmp_path, *names)
    source = find_neu(tmp_path)
    assert {Path(item.path).name: item.label for item in source.items} == dict(
        zip(names, source.classes, strict=True)
    )
    assert source.notes == ()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("part7.jpg", "expected a NEU name such as", id="another name"),
        pytest.param("crazing/patches_1.jpg", "folder crazing but its name says patches", id="two"),
    ],
)
def test_find_neu_det_a_image_without_a_class_is_refused(
    tmp_path: Path, name: str, message: str
) -> None:
    touch(tmp_path, name)
    with pytest.raises(InvalidLabels, match=message):
        find_neu(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xfe<", id="not UTF-8"),
        pytest.param(b"<a><object/></a>", id="no box"),
        pytest.param(ANNOTATION.replace("30", "nan").encode(), id="nan"),
        pytest.param(ANNOTATION.replace("30", "0").encode(), id="xmax below xmin"),
        pytest.param(ANNOTATION.replace("30", "1e300").encode(), id="huge"),
        pytest.param(
            b'<!DOCTYPE a [<!ENTITY b "cc">]><a><object><name>&b;</name></object></a>', id="entity"
        ),
        pytest.param(b"<a>" * 100_000, id="deep"),
    ],
)
def test_read_boxes_damaged_annotation_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidLabels, match=r"x\.xml: (expected a Pascal|an annotation must not)"):
        read_boxes(content, "x.xml")


def test_find_neu_det_the_real_archive_has_its_published_counts() -> None:
    source = find_neu(neu_det())
    assert len(source.items) == 1800
    assert {name: [i.label for i in source.items].count(name) for name in source.classes} == (
        dict.fromkeys(source.classes, 300)
    )
    # 123 images carry boxes of a second class, so file names say less than boxes
    mixed = [i for i in source.items if {b.label for b in i.boxes or ()} - {i.label}]
    assert len(mixed) == 123


def test_find_elpv_binary_counts_are_the_published_ones() -> None:
    source = find_elpv(ElpvConfig(classes="binary"))
    label = [item.label for item in source.items]
    # Deitsch et al. 2019: 1,508 + 295 below one half, 106 + 715 above; 1,074 cells are mono
    assert (label.count("functional"), label.count("defective")) == (1803, 821)
    assert source.accept_classes == ("functional",)
    assert [item.attributes["cell_type"] for item in source.items].count("mono") == 1074


def test_find_elpv_four_classes_keep_the_degrees() -> None:
    source = find_elpv(ElpvConfig(classes="four"))
    label = [item.label for item in source.items]
    assert [label.count(name) for name in source.classes] == [1508, 295, 106, 715]
    assert source.accept_classes == ("functional", "likely_functional")


def find_table(path: Path) -> Source:
    return find_tabular(TabularConfig(path=str(path)))


def test_find_tabular_csv_paths_are_relative_to_the_table(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(
        "﻿path,label,group,split,line\na.png,good,coil 1,train,3\n"
        '"b,1.png",긁힘,,val,4\n\n/abs/c.png,good,coil 2,test,\n',
        encoding="utf-8",
    )
    source = find_table(table)
    assert [item.path for item in source.items] == [
        str(tmp_path / "a.png"), str(tmp_path / "b,1.png"), "/abs/c.png"
    ]  # fmt: skip
    assert [item.group for item in source.items] == ["coil 1", None, "coil 2"]
    assert [item.split for item in source.items] == ["train", "calibration", "test"]
    assert [item.attributes for item in source.items] == [
        {"line": "3"},
        {"line": "4"},
        {"line": ""},
    ]
    assert source.classes == ("good", "긁힘")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("path,class\na.png,good\n", "missing label among path, class", id="column"),
        pytest.param("path,label\n,good\n", "row 1: the path is empty", id="path"),
        pytest.param("path,label\na.png,\n", "row 1: the label '' must be letters", id="label"),
        pytest.param("path,label\na.png,x,y\n", "row 1 has 3 values for 2 columns", id="comma"),
        pytest.param("path,label,label\na,b,c\n", "'label' is there more than once", id="twice"),
        pytest.param("path,label,split\na,b,dev\n", "split must be .* got 'dev'", id="split"),
        pytest.param("path,label\na,x\nb,x\na,y\n", "rows 1 and 3 both list .*/a", id="same path"),
        pytest.param("path,label,split\na,x,train\nb,x,\n", "row 2 has no split", id="half split"),
        pytest.param('path,label\n"a,x\n', "not a readable CSV", id="quote"),
    ],
)
def test_find_tabular_damaged_csv_names_the_row(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(InvalidLabels, match=message):
        find_table(tmp_path / "labels.csv")


def test_find_tabular_no_table_and_no_row(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFound, match="no table at"):
        find_table(tmp_path / "labels.csv")
    (tmp_path / "labels.csv").write_text("path,label\n")
    with pytest.raises(EmptyDataset, match="has no row"):
        find_table(tmp_path / "labels.csv")
    (tmp_path / "korean.csv").write_bytes("path,label\na.png,긁힘\n".encode("cp949"))
    with pytest.raises(InvalidLabels, match="not UTF-8"):
        find_table(tmp_path / "korean.csv")
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(InvalidLabels, match="not a readable Parquet"):
        find_table(tmp_path / "x.parquet")
