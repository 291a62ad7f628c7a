"""Public data sets: each on a small tree of its documented layout, made for the test."""

import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from sihwa.dataset import AutoConfig, PublicSetConfig, SplitConfig, read_dataset
from sihwa.dataset.item import Source
from sihwa.dataset.public_sets import PUBLIC_SETS
from sihwa.dataset.recognise import find_auto, find_public
from sihwa.errors import ConfigError, DatasetError
from tests.helpers import random_images

CONFIGS = Path(__file__).parents[3] / "configs" / "dataset"
Facts = tuple[str, str | None, str | None]
"""Label, group and split."""


def mask(defective: bool, kind: str = "PNG") -> bytes:
    pixels = np.zeros((8, 6), np.uint8)
    pixels[3, 4] = defective
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def voc(*boxes: tuple[str, int]) -> bytes:
    """Return an annotation with a square box for each name and width."""
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>{width}</xmax>"
        f"<ymax>{width}</ymax></bndbox></object>"
        for name, width in boxes
    )
    return f"<annotation>{objects}</annotation>".encode()


TREES: dict[str, tuple[dict[str, bytes], dict[str, Facts]]] = {
    "neu_det": (
        {"IMAGES/rolled-in_scale_9.jpg": b"", "IMAGES/crazing_1.jpg": b"",
         "ANNOTATIONS/crazing_1.xml": voc(("crazing", 5))},
        {"IMAGES/rolled-in_scale_9.jpg": ("rolled-in_scale", None, None),
         "IMAGES/crazing_1.jpg": ("crazing", None, None)},
    ),
    "elpv": (
        {"images/cell0001.png": b"", "images/cell0002.png": b"",
         "labels.csv": b"images/cell0001.png  1.0  mono\nimages/cell0002.png  0.0  poly\n"},
        {"images/cell0001.png": ("defective", None, None),
         "images/cell0002.png": ("functional", None, None)},
    ),
    "magnetic_tile": (
        # names as published: two tiles that follow each other, and one far away
        {**dict.fromkeys((f"outer/MT_Blowhole/Imgs/{name}" for name in (
            "exp1_num_3667.jpg", "exp2_num_3696.jpg", "exp6_num_3789.jpg", "exp1_num_3667.png",
            "exp6_num_4841.jpg", "exp1_num_4944.jpg")), b""),
         "outer/MT_Free/Imgs/exp3_num_346347.jpg": b""},
        {"outer/MT_Blowhole/Imgs/exp1_num_3667.jpg": ("blowhole", "tile 1", None),
         "outer/MT_Blowhole/Imgs/exp2_num_3696.jpg": ("blowhole", "tile 1", None),
         "outer/MT_Blowhole/Imgs/exp6_num_3789.jpg": ("blowhole", "tile 1", None),
         "outer/MT_Blowhole/Imgs/exp6_num_4841.jpg": ("blowhole", "tile 2", None),
         "outer/MT_Blowhole/Imgs/exp1_num_4944.jpg": ("blowhole", "tile 2", None),
         "outer/MT_Free/Imgs/exp3_num_346347.jpg": ("free", "tile 3", None)},
    ),
    "kolektor_sdd": (
        {"kos01/Part0.jpg": b"", "kos01/Part0_label.bmp": mask(False, "BMP"),
         "kos01/Part5.jpg": b"", "kos01/Part5_label.bmp": mask(True, "BMP"),
         "kos50/Part1.jpg": b"", "kos50/Part1_label.bmp": mask(False, "BMP")},
        {"kos01/Part0.jpg": ("good", "kos01", None),
         "kos01/Part5.jpg": ("defective", "kos01", None),
         "kos50/Part1.jpg": ("good", "kos50", None)},
    ),
    "kolektor_sdd2": (
        {"train/10000.png": b"", "train/10000_GT.png": mask(True),
         "train/10301.png": b"", "train/10301_GT.png": mask(False),
         "test/20000.png": b"", "test/20000_GT.png": mask(False), "split_weakly_0.pyb": b""},
        {"train/10000.png": ("defective", None, "train"),
         "train/10301.png": ("good", None, "train"),
         "test/20000.png": ("good", None, "test")},
    ),
    "dagm2007": (
        {"Class1/Train/0001.PNG": b"", "Class1/Train/0576.PNG": b"",
         "Class1/Train/Label/0576_label.PNG": b"", "Class1/Train/Label/Labels.txt": b"",
         "Class1/Test/0002.PNG": b"", "Class1/Test/Label/0002_label.PNG": b""},
        {"Class1/Train/0001.PNG": ("good", None, "train"),
         "Class1/Train/0576.PNG": ("defective", None, "train"),
         "Class1/Test/0002.PNG": ("defective", None, "test")},
    ),
    "mvtec_ad": (
        {"bottle/train/good/000.png": b"", "bottle/test/good/000.png": b"",
         "bottle/test/broken_large/000.png": b"", "bottle/license.txt": b"",
         "bottle/ground_truth/broken_large/000_mask.png": b""},
        {"bottle/train/good/000.png": ("good", None, None),
         "bottle/test/good/000.png": ("good", None, None),
         "bottle/test/broken_large/000.png": ("broken_large", None, None)},
    ),
    "gc10_det": (
        {"1/img_02_425501900_00017.jpg": b"", "2/img_02_425501900_00017.jpg": b"",
         "lable/img_02_425501900_00017.xml": voc(("2_hanfeng", 40), ("1_chongkong", 5)),
         "10/img_08_425005700_00002.jpg": b"", "10/img_01_425005700_00001.jpg": b"",
         "lable/img_01_425005700_00001.xml": voc(("10_yaozhed", 9)),
         "03/img_03_SIS001540_00771.jpg": b""},
        {"2/img_02_425501900_00017.jpg": ("welding_line", "425501900", None),
         "10/img_08_425005700_00002.jpg": ("waist_folding", "425005700", None),
         "10/img_01_425005700_00001.jpg": ("waist_folding", "425005700", None),
         "03/img_03_SIS001540_00771.jpg": ("crescent_gap", "SIS001540", None)},
    ),
    "severstal": (
        {"train_images/0002cc93b.jpg": b"", "train_images/0007a71bf.jpg": b"",
         "train_images/000a4bcdd.jpg": b"", "test_images/004f40c73.jpg": b"",
         "train.csv": b"ImageId,ClassId,EncodedPixels\n0002cc93b.jpg,1,29102 12 29346 24\n"
                      b"0002cc93b.jpg,3,1 37\n000a4bcdd.jpg,2,5 1\n"},
        {"train_images/0002cc93b.jpg": ("kind_3", None, None),
         "train_images/0007a71bf.jpg": ("good", None, None),
         "train_images/000a4bcdd.jpg": ("kind_2", None, None)},
    ),
    "x_sdd": (
        {"X-SDD/datas/red iron/2001.jpg": b"", "X-SDD/datas/finishing roll printing/6001.png": b""},
        {"X-SDD/datas/red iron/2001.jpg": ("red iron", None, None),
         "X-SDD/datas/finishing roll printing/6001.png": ("finishing roll printing", None, None)},
    ),
    "deep_pcb": (
        {"PCBData/group00041/00041/00041000_test.jpg": b"",
         "PCBData/group00041/00041/00041000_temp.jpg": b"",
         "PCBData/group00041/00041_not/00041000.txt": b"466 441 493 470 3\n5,5,9,9,2\n",
         "PCBData/group92000/92000/92000007_temp.jpg": b"", "PCBData/test.txt": b""},
        {"PCBData/group00041/00041/00041000_test.jpg": ("defective", "00041", None),
         "PCBData/group00041/00041/00041000_temp.jpg": ("good", "00041", None),
         "PCBData/group92000/92000/92000007_temp.jpg": ("good", "92000", None)},
    ),
    "aitex": (
        {"Defect_images/0001_002_00.png": b"", "Mask_images/0001_002_00_mask.png": b"",
         "NODefect_images/2306881-210020u/0001_000_00.png": b"",
         "NODefect_images/2311517-195063u/0002_000_02.png": b""},
        {"Defect_images/0001_002_00.png": ("defective", "00", None),
         "NODefect_images/2306881-210020u/0001_000_00.png": ("good", "00", None),
         "NODefect_images/2311517-195063u/0002_000_02.png": ("good", "02", None)},
    ),
}  # fmt: skip


def grow(root: Path, files: dict[str, bytes], archive: bool = False) -> Path:
    """Write a tree below a folder, or into a .zip."""
    if archive:
        root = root / "set.zip"
        with zipfile.ZipFile(root, "w") as file:
            for name, content in files.items():
                file.writestr(name, content)
        return root
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def find(root: Path, layout: str) -> Source:
    return find_public(PublicSetConfig(layout=layout, root=str(root)))


def facts_of(source: Source, root: Path) -> dict[str, Facts]:
    return {
        item.path.removeprefix(str(root)).lstrip("!/"): (item.label, item.group, item.split)
        for item in source.items
    }


def test_trees_cover_every_public_set() -> None:
    assert list(TREES) == list(PUBLIC_SETS)


@pytest.mark.parametrize("archive", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("layout", TREES)
def test_find_public_gives_labels_groups_and_splits(
    tmp_path: Path, layout: str, archive: bool
) -> None:
    files, expected = TREES[layout]
    root = grow(tmp_path, files, archive)
    source = find(root, layout)
    assert facts_of(source, root) == expected
    assert set(source.classes) == {label for label, _, _ in expected.values()}
    assert set(source.accept_classes) <= {"good", "functional", "free"}


@pytest.mark.parametrize("layout", TREES)
def test_find_auto_names_the_set_and_its_licence(tmp_path: Path, layout: str) -> None:
    files, expected = TREES[layout]
    root = grow(tmp_path, files)
    source = find_auto(AutoConfig(name="auto", root=str(root)))
    assert facts_of(source, root) == expected
    public = PUBLIC_SETS[layout]
    assert (source.name, source.licence) == (public.title, public.licence)
    assert source.notes[0].startswith(f"taken for {public.title}, because ")
    assert re.search(r"because (\d+) of \1 image files", source.notes[0])  # masks, too


@pytest.mark.parametrize("layout", [name for name in TREES if name not in ("neu_det", "elpv")])
def test_config_of_a_public_set_repeats_the_table(layout: str) -> None:
    config = yaml.safe_load((CONFIGS / f"{layout}.yaml").read_text(encoding="utf-8"))
    public = PUBLIC_SETS[layout]
    assert (config["name"], config["licence"], config["layout"]) == (
        public.title,
        public.licence,
        layout,
    )


@pytest.mark.parametrize("layout", TREES)
def test_document_gives_the_facts_of_every_set(layout: str) -> None:
    text = (CONFIGS.parents[1] / "docs" / "public-sets.md").read_text(encoding="utf-8")
    public = PUBLIC_SETS[layout]
    rows = [line for line in text.splitlines() if line.startswith(f"| `{layout}` |")]
    assert len(rows) == 3
    assert f"| {public.images:,} |" in rows[0]
    assert public.groups in rows[0]
    assert all(fact in rows[1] for fact in (public.licence, public.citation, public.page))
    assert ("`sihwa fetch`" in rows[1]) == (public.archive is not None)
    assert all(line.split(" (")[0] in rows[2] for line in public.layout)


def test_find_auto_two_sets_are_refused(tmp_path: Path) -> None:
    root = grow(tmp_path, {**TREES["x_sdd"][0], **TREES["neu_det"][0]})
    with pytest.raises(DatasetError, match=r"fits neu_det and x_sdd; point dataset.root to one"):
        find_auto(AutoConfig(root=str(root)))


def test_find_auto_few_other_images_do_not_hide_the_set(tmp_path: Path) -> None:
    files = {f"red iron/{number}.jpg": b"" for number in range(2001, 2041)}
    root = grow(tmp_path, {**files, "fig/example.jpg": b"", "fig/test.jpg": b""})
    assert find_auto(AutoConfig(name="auto", root=str(root))).name == "X-SDD"
    grow(tmp_path, {"fig/third.jpg": b""})
    assert find_auto(AutoConfig(name="auto", root=str(root))).name == "image folder"


def test_find_auto_other_images_are_classes_by_folder(tmp_path: Path) -> None:
    root = grow(tmp_path, {"good/a.png": b"", "scratch/scratches_1.png": b""})
    source = find_auto(AutoConfig(name="auto", root=str(root)))
    assert source.classes == ("good", "scratch")
    assert (source.name, source.licence) == ("image folder", "")
    assert not source.notes


def test_find_auto_keeps_name_and_licence_of_the_settings(tmp_path: Path) -> None:
    root = grow(tmp_path, TREES["x_sdd"][0])
    source = find_auto(AutoConfig(name="ours", licence="bought", root=str(root)))
    assert (source.name, source.licence) == ("", "")


@pytest.mark.parametrize(
    ("layout", "changes", "message"),
    [
        ("kolektor_sdd", {"kos01/Part0_label.bmp": None}, "Part0_label.bmp.*expected the mask"),
        ("kolektor_sdd2", {"train/10000_GT.png": b"GIF"}, "10000_GT.png.*expected the mask"),
        ("dagm2007", {"Class1/Test/Label/0002_label.PNG": None}, "Test: expected masks.*none"),
        ("severstal", {"train.csv": None}, r"train\.csv: expected the columns ImageId"),
        ("severstal", {"train.csv": b"a,b\n1,2\n"}, "EncodedPixels: got 'a, b'"),
        ("severstal", {"train.csv": b"ImageId,ClassId,EncodedPixels\na,5,1 2\n"}, "row 2"),
        ("severstal", {"train.csv": b"ImageId,ClassId,EncodedPixels\na,1,1 2 3\n"}, "row 2"),
        ("severstal", {"train.csv": b"ImageId,ClassId,EncodedPixels\na,1,9 -2\n"}, "row 2"),
        ("severstal", {"train.csv": b"ImageId,ClassId,EncodedPixels\na\n"}, "shorter|longer"),
        ("deep_pcb", {"PCBData/group00041/00041_not/00041000.txt": b"1 2 3 4 7"}, "kind from 1 to"),
        ("deep_pcb", {"PCBData/group00041/00041_not/00041000.txt": b"9 2 3 4 1"}, "kind from 1 to"),
        ("deep_pcb", {"PCBData/group00041/00041_not/00041000.txt": b"\xff"}, "lines of text"),
        ("gc10_det", {"lable/img_01_425005700_00001.xml": b"<!DOCTYPE a>"}, "document type"),
        ("aitex", {"Defect_images/0001_099_00.png": b""}, "expected one of 000, 002.*got '099'"),
        ("elpv", {"labels.csv": None}, r"labels\.csv"),
        ("mvtec_ad", {"cable/test/cut/000.png": b""}, "found 2: bottle, cable"),
        ("mvtec_ad", {"bottle/test/x\x1b[2J/000.png": b""}, r"the label .*U\+001B"),
        ("magnetic_tile", {"MT_Rust/Imgs/exp1_num_1.jpg": b""}, "expected one of free.*'Rust'"),
    ],
)  # fmt: skip
def test_find_public_damaged_set_is_refused(
    tmp_path: Path, layout: str, changes: dict[str, bytes | None], message: str
) -> None:
    files = {**TREES[layout][0], **changes}
    root = grow(tmp_path, {name: content for name, content in files.items() if content is not None})
    with pytest.raises(DatasetError, match=message):
        find(root, layout)


def test_find_public_another_layout_is_refused(tmp_path: Path) -> None:
    root = grow(tmp_path, {"good/a.png": b"", "kos01/Part0_label.bmp": b""})
    with pytest.raises(DatasetError, match=r"expected KolektorSDD, .*kos01/Part0\.jpg; .*2 images"):
        find(root, "kolektor_sdd")
    with pytest.raises(ConfigError, match=r"must be one of neu_det, .*; got 'kolektor'"):
        find(root, "kolektor")


def test_find_public_leaves_copies_out_and_says_so(tmp_path: Path) -> None:
    # the published archive of KolektorSDD2 holds these two by mistake
    copies = {"train/10301 (copy).png": b"", "train/10301_GT (copy).png": mask(False)}
    root = grow(tmp_path, {**TREES["kolektor_sdd2"][0], **copies})
    source = find(root, "kolektor_sdd2")
    assert len(source.items) == 3
    assert any("no such name: 2 images" in note and "(copy)" in note for note in source.notes)
    assert any("masks and other files, not read as images: 3" in note for note in source.notes)


def test_find_public_several_kinds_follow_the_rule_of_the_set(tmp_path: Path) -> None:
    for layout in ("gc10_det", "severstal", "deep_pcb"):
        grow(tmp_path / layout, TREES[layout][0])
    strips = find(tmp_path / "gc10_det", "gc10_det")
    welded = next(item for item in strips.items if item.label == "welding_line")
    assert [box.label for box in welded.boxes or ()] == ["welding_line", "punching_hole"]
    folded = [item.boxes for item in strips.items if item.label == "waist_folding"]
    assert folded == [(("waist_folding", 1, 1, 9, 9),), None]
    assert any("1 images are in a second folder" in note for note in strips.notes)
    assert any("2 images have no annotation" in note for note in strips.notes)
    sheets = find(tmp_path / "severstal", "severstal")
    assert [item.attributes["kinds"] for item in sheets.items] == ["kind_1 kind_3", "", "kind_2"]
    assert any("1 images show several kinds" in note for note in sheets.notes)
    boards = find(tmp_path / "deep_pcb", "deep_pcb")
    board = next(item for item in boards.items if item.label == "defective")
    assert board.boxes == (("mousebite", 466, 441, 493, 470), ("short", 5, 5, 9, 9))
    assert board.attributes["kinds"] == "mousebite short"


def test_find_public_takes_one_texture_alone(tmp_path: Path) -> None:
    grow(tmp_path, TREES["dagm2007"][0])
    for root in (tmp_path, tmp_path / "Class1"):
        source = find_auto(AutoConfig(root=str(root)))
        assert [item.label for item in source.items] == ["defective", "good", "defective"]
        assert {item.attributes["texture"] for item in source.items} == {"Class1"}


def test_find_public_severstal_older_table_gives_the_same(tmp_path: Path) -> None:
    table = (
        b"ImageId_ClassId,EncodedPixels\n0002cc93b.jpg_1,29102 12 29346 24\n0002cc93b.jpg_2,\n"
        b"0002cc93b.jpg_3,1 37\n000a4bcdd.jpg_2,5 1\nffffffff0.jpg_4,1 1\n"
    )
    files, expected = TREES["severstal"]
    root = grow(tmp_path, {**files, "train.csv": table})
    source = find(root, "severstal")
    assert facts_of(source, root) == expected
    assert any("1 images of" in note and "ffffffff0.jpg" in note for note in source.notes)


def test_read_dataset_auto_keeps_groups_whole(tmp_path: Path) -> None:
    images = iter(random_images(60, 12, 10))
    for piece in range(1, 11):
        for part in range(6):
            path = tmp_path / f"kos{piece:02d}" / f"Part{part}.jpg"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(next(images)).save(path)
            path.with_name(f"Part{part}_label.bmp").write_bytes(mask(part == 0, "BMP"))
    config = AutoConfig(name="auto", root=str(tmp_path), split=SplitConfig(0.2, 0.2))
    manifest = read_dataset(config, seed=0)
    assert (manifest.name, manifest.licence) == ("KolektorSDD", "CC BY-NC-SA 4.0")
    assert manifest.accept_classes == ("good",)
    assert len(manifest.table) == 60
    splits = {
        (group, split)
        for group, split in zip(
            manifest.table["group"].to_pylist(), manifest.table["split"].to_pylist(), strict=True
        )
    }
    assert len(splits) == 10
