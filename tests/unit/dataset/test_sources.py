"""Where images and labels come from: folders, NEU-DET, ELPV and tables."""

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
from sihwa.errors import DatasetError
from tests.helpers import neu_det

ANNOTATION = """<annotation><object><name>{0}</name><bndbox><xmin>1</xmin><ymin>2</ymin>
<xmax>30</xmax><ymax>40</ymax></bndbox></object><object><name>inclusion</name><bndbox>
<xmin>5</xmin><ymin>6</ymin><xmax>7</xmax><ymax>8</ymax></bndbox></object></annotation>"""


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def find_folder(root: Path) -> Source:
    return find_image_folder(ImageFolderConfig(root=str(root)))


def find_neu(root: Path) -> Source:
    return find_neu_det(NeuDetConfig(root=str(root)))


def find_table(path: Path) -> Source:
    return find_tabular(TabularConfig(path=str(path)))


@pytest.mark.parametrize(
    "found",
    [
        {"good/a.png": ("good", None), "good/1/left/b.JPG": ("good", None),
         "긁힘/c.bmp": ("긁힘", None)},
        {"outer/good/a.png": ("good", None), "outer/bad/b.png": ("bad", None)},
        {"good/a.png": ("good", None), "긁힘/c.png": ("긁힘", None),
         unicodedata.normalize("NFD", "긁힘") + "/b.png": ("긁힘", None)},
        *({"train/good/a.png": ("good", "train"), f"{name}/good/b.png": ("good", "calibration"),
           "test/bad/x/c.png": ("bad", "test")}
          for name in ("calibration", "val", "Validation", "valid", "val_set", "Valid Images")),
    ],
    ids=["any depth", "outer folder", "decomposed", "calibration", "val", "Validation", "valid",
         "val_set", "Valid Images"],
)  # fmt: skip
@pytest.mark.parametrize("archive", [False, True], ids=["folder", "zip"])
def test_find_image_folder_reads_class_and_split(
    tmp_path: Path, found: dict[str, tuple[str, str | None]], archive: bool
) -> None:
    root = tmp_path / ("부품.zip" if archive else "부품")
    names = [*found, "notes.txt"]
    if archive:
        with zipfile.ZipFile(root, "w") as file:
            for name in names:
                file.writestr(name, b"")
    else:
        touch(root, *names)
    source = find_folder(root)
    assert source.classes == tuple(sorted({label for label, _ in found.values()}))
    assert {
        item.path.removeprefix(f"{root}").lstrip("!/"): (item.label, item.split)
        for item in source.items
    } == found


def test_find_image_folder_notes_folders_without_images(tmp_path: Path) -> None:
    touch(tmp_path, "train/good/x/a.png", "train/bad/b.png", "test/bad/c.png")
    assert find_folder(tmp_path).notes == ()
    for empty in ("calibration", "train/긁힘/deep", ".cache"):
        (tmp_path / empty).mkdir(parents=True)
    touch(tmp_path, "test/good/notes.txt")
    (tmp_path / "test/link").symlink_to(tmp_path / "train/bad")
    hidden, linked, *found, last = find_folder(tmp_path).notes
    assert "1 .cache" in hidden
    assert f"{tmp_path}/test/link" in linked
    assert [note.removeprefix(f"{tmp_path}/").split()[0] for note in found] == [
        "calibration",
        "test/good",
        "train/긁힘",
    ]
    assert last.startswith("skipped: 1 file without an image suffix")


@pytest.mark.parametrize(
    ("names", "passed"),
    [
        (["good/lot1/a.png", "good/lot2/b.png"], "good"),
        (["x/y/lot1/a.png", "x/y/lot2/b.png"], "x/y"),
        (["train/lot1/a.png", "train/lot2/b.png"], "train"),
        (["lot1/x/a.png", "lot2/x/b.png"], None),
    ],
)
def test_find_image_folder_tells_the_level_that_it_passes_through(
    tmp_path: Path, names: list[str], passed: str | None
) -> None:
    touch(tmp_path, *names)
    source = find_folder(tmp_path)
    assert source.classes == ("lot1", "lot2")
    told = [note for note in source.notes if "taken for the classes: lot1, lot2" in note]
    assert [f"below {passed}," in note for note in told] == [True] * (passed is not None)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.png", "good/b.png"], "a.png: expected below <class>/"),
        (["train/a.png", "test/good/b.png"], "expected below <split>/<class>/"),
        (["train/good/a.png", "scratch/b.png"], "got splits .train. beside scratch"),
        (["go\nod/a.png", "bad/b.png"], "the label .*U.000A"),
    ],
    ids=["loose", "no class", "mixed", "control"],
)
def test_find_image_folder_another_layout_is_refused(
    tmp_path: Path, names: list[str], message: str
) -> None:
    touch(tmp_path, *names)
    with pytest.raises(DatasetError, match=message):
        find_folder(tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", r"expected a folder or a \.zip, found nothing"),
        ("in", r"no image in .* only 1 other files \(\.txt\)"),
        ("in/readme.txt", "found another file"),
        ("broken.zip", r"not a readable \.zip"),
        (" ", "empty path"),
    ],
)
def test_find_image_folder_root_without_images_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "in/readme.txt")
    (tmp_path / "broken.zip").write_bytes(b"PK\3\4")
    with pytest.raises(DatasetError, match=message):
        find_image_folder(ImageFolderConfig(root=name))


def test_find_neu_det_official_layout_keeps_the_boxes(tmp_path: Path) -> None:
    touch(tmp_path, "IMAGES/scratches_1.jpg", "IMAGES/pitted_surface_12.jpg", "ANNOTATIONS/x")
    (tmp_path / "ANNOTATIONS/scratches_1.xml").write_text(ANNOTATION.format("scratches"))
    source = find_neu(tmp_path)
    assert {item.label: (item.split, item.boxes) for item in source.items} == {
        "scratches": (None, (("scratches", 1, 2, 30, 40), ("inclusion", 5, 6, 7, 8))),
        "pitted_surface": (None, None),
    }
    assert source.notes == ("1 images have no annotation",)


def test_find_neu_det_validation_layout_is_the_test_split(tmp_path: Path) -> None:
    touch(tmp_path, "NEU-DET/train/images/crazing/crazing_1.jpg",
          "NEU-DET/validation/images/rolled-in_scale/rolled-in_scale_9.jpg")  # fmt: skip
    (tmp_path / "NEU-DET/train/annotations").mkdir()
    annotation = tmp_path / "NEU-DET/train/annotations/crazing_1.xml"
    annotation.write_text(ANNOTATION.format("crazing"))
    items = find_neu(tmp_path).items
    assert {(item.label, item.split, len(item.boxes or ())) for item in items} == {
        ("crazing", "train", 2),
        ("rolled-in_scale", "test", 0),
    }


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
        ("part7.jpg", "expected a NEU name such as"),
        ("crazing/patches_1.jpg", "in the folder crazing, but its name says patches"),
    ],
)
def test_find_neu_det_name_without_a_class_is_refused(
    tmp_path: Path, name: str, message: str
) -> None:
    touch(tmp_path, name)
    with pytest.raises(DatasetError, match=message):
        find_neu(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe<",
        b"<a><object/></a>",
        *(ANNOTATION.replace("30", edge).encode() for edge in ("nan", "0", "1e300")),
        b'<!DOCTYPE a [<!ENTITY b "cc">]><a><object><name>&b;</name></object></a>',
        b"<a>" * 100_000,
    ],
    ids=["empty", "not UTF-8", "no box", "nan", "xmax below xmin", "huge", "entity", "deep"],
)
def test_read_boxes_damaged_annotation_is_refused(content: bytes) -> None:
    with pytest.raises(DatasetError, match=r"x\.xml: (expected a Pascal|an annotation must not)"):
        read_boxes(content, "x.xml")


def test_find_neu_det_real_archive_has_its_published_counts() -> None:
    source = find_neu(neu_det())
    assert len(source.items) == 1800
    assert {name: [i.label for i in source.items].count(name) for name in source.classes} == (
        dict.fromkeys(source.classes, 300)
    )
    # 123 images carry boxes of a second class, so file names say less than boxes
    mixed = [i for i in source.items if {b.label for b in i.boxes or ()} - {i.label}]
    assert len(mixed) == 123


@pytest.mark.parametrize(
    ("classes", "counts", "accepted"),
    [
        # Deitsch et al. 2019: 1,508 + 295 cells below one half, 106 + 715 above
        ("binary", [1803, 821], ("functional",)),
        ("four", [1508, 295, 106, 715], ("functional", "likely_functional")),
    ],
)
def test_find_elpv_counts_are_the_published_ones(
    classes: str, counts: list[int], accepted: tuple[str, ...]
) -> None:
    source = find_elpv(ElpvConfig(classes=classes))
    label = [item.label for item in source.items]
    assert [label.count(name) for name in source.classes] == counts
    assert source.accept_classes == accepted
    assert [item.attributes["cell_type"] for item in source.items].count("mono") == 1074


def test_find_tabular_csv_paths_are_relative_to_the_table(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(
        "\ufeffpath,label,group,split,line\na.png,good,coil 1,train,3\n"
        '"b,1.png",긁힘,,val,4\n\n/abs/c.png,good,coil 2,test,\n',
        encoding="utf-8",
    )
    touch(tmp_path, "a.png")
    source = find_table(table)
    assert [(i.path, i.group, i.split, i.attributes) for i in source.items] == [
        (str(tmp_path / "a.png"), "coil 1", "train", {"line": "3"}),
        (str(tmp_path / "b,1.png"), None, "calibration", {"line": "4"}),
        ("/abs/c.png", "coil 2", "test", {"line": ""}),
    ]
    assert source.classes == ("good", "긁힘")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.csv", None, "no table at"),
        ("empty.csv", "path,label\n", "has no row"),
        ("other.csv", "path,label\na.png,kırık\n".encode("cp1254"), "not UTF-8"),
        ("nul.csv", "path,label\na.png,x\n".encode("utf-16-le"), "NUL bytes"),
        ("labels.xlsx", b"PK", "save it as 'CSV UTF-8'"),
        ("x.parquet", b"PAR1", "not a readable Parquet"),
        ("column.csv", "path,class\na.png,good\n", "missing label among path, class"),
        ("path.csv", "path,label\n,good\n", "line 2: the path is empty"),
        ("label.csv", "path,label\na.png,\n", "line 2: the label '' must be letters"),
        ("comma.csv", "path,label\na.png,x,y\n", "line 2: 3 values for 2 columns"),
        ("twice.csv", "path,label,label\na,b,c\n", "'label' occurs more than once"),
        ("split.csv", "path,label,split\na,b,dev\n", "split must be .* got 'dev'"),
        ("same.csv", "path,label\na,x\nb,x\na,y\n", "line 2 and line 4 both list .*/a"),
        ("half.csv", "path,label,split\na,x,train\nb,x,\n", "line 3 has no split"),
        ("quote.csv", 'path,label\n"a,x\n', "not a readable CSV"),
        ("lines.csv", 'path,label,note\na,x,"two\nlines"\n\nb,,\n', "line 5: the label ''"),
        ("none.csv", "path,label\na,x\nb,y\n", "none of its 2 images .* dataset.root=FOLDER"),
        ("web.csv", "path,label\ns3://a/b.png,x\n", "line 2: s3://a/b.png is an address"),
        ("hex.csv", "path,label,path_bytes\na,x,zz\n", "line 2: path_bytes must be hex"),
    ],
    ids=lambda value: value if str(value).endswith((".csv", ".parquet")) else "",
)
def test_find_tabular_damaged_table_is_refused(
    tmp_path: Path, name: str, content: str | bytes | None, message: str
) -> None:
    if content is not None:
        written = content.encode() if isinstance(content, str) else content
        (tmp_path / name).write_bytes(written)
    with pytest.raises(DatasetError, match=message):
        find_table(tmp_path / name)
