"""Tables as Windows, spreadsheets and labelling programs write them, and images that moved."""

import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from sihwa.dataset import Manifest, TabularConfig, move_manifest, read_dataset, read_manifest
from sihwa.dataset.tabular import find_tabular
from sihwa.errors import DatasetError
from tests.helpers import random_images, save_images

linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
NFC = "정상"
NFD = unicodedata.normalize("NFD", NFC)


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """A folder with the images good/000.png to 004.png and bad/000.png to 004.png."""
    for seed, name in enumerate(("good", "bad")):
        save_images(tmp_path / "parts" / name, random_images(5, 8, 8, seed=seed))
    return tmp_path / "parts"


def write_table(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows_of(write: Callable[[str, str], str], head: str = "path,label") -> str:
    """Return a table of the ten images; `write` makes a line of a class and a file name."""
    lines = [write(label, f"{n:03d}.png") for label in ("good", "bad") for n in range(5)]
    return "\n".join([head, *lines])


def find(table: Path, root: Path | None = None) -> dict[str, str]:
    """Return the label of each file that a table lists; all must be there."""
    source = find_tabular(TabularConfig(path=str(table), root=str(root) if root else None))
    assert all(Path(item.path).is_file() for item in source.items)
    return {item.path: item.label for item in source.items}


def expected(parts: Path) -> dict[str, str]:
    return {str(path): path.parent.name for path in parts.glob("*/*.png")}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(rows_of(lambda c, n: f"{c}\\{n},{c}"), id="backslashes"),
        pytest.param(rows_of(lambda c, n: f" {c}/{n} , {c} "), id="spaces"),
        pytest.param(rows_of(lambda c, n: f"{c}/{n};{c}", "path;label"), id="semicolons"),
        pytest.param("sep=;\n" + rows_of(lambda c, n: f"{c}/{n};{c}", "path;label"), id="sep"),
        pytest.param(rows_of(lambda c, n: f"{c}/{n}\t{c}", "path\tlabel"), id="tabs"),
        pytest.param(rows_of(lambda c, n: f"{c}/{n},{c}").encode("utf-16"), id="UTF-16"),
        pytest.param(rows_of(lambda c, n: f"{c}/{n},{c},,", "path,label,,") + "\n,,,\n,,\n",
                     id="empty cells"),
        pytest.param(rows_of(lambda c, n: f"{c.upper()}/{n.upper()},{c}", "Path,LABEL"), id="case"),
        pytest.param(rows_of(lambda c, n: f"3,{c}/{n},{c}", ",path,label"), id="unnamed column"),
        pytest.param(rows_of(lambda c, n: f"\ufeff{c}/{n},{c}"), id="joined"),
        pytest.param(rows_of(lambda c, n: f"{c}/{n},{c}").replace("\n", "\r\n"), id="CRLF"),
        pytest.param(rows_of(lambda c, n: f"{c}/{n},{c}").replace("\n", "\r"), id="CR"),
    ],
)  # fmt: skip
def test_find_tabular_reads_tables_as_programs_write_them(
    parts: Path, content: str | bytes
) -> None:
    assert find(write_table(parts / "labels.csv", content)) == expected(parts)


@linux
@pytest.mark.parametrize("disk", [NFC, NFD])
@pytest.mark.parametrize("written", [NFC, NFD])
def test_find_tabular_finds_a_name_in_another_unicode_form(
    tmp_path: Path, disk: str, written: str
) -> None:
    for name in ("a", disk):
        save_images(tmp_path / disk, random_images(1, 8, 8), prefix=name)
    table = write_table(
        tmp_path / "labels.csv", f"path,label\n{written}\\{written}000.png,x\n{written}/a000.png,y"
    )
    assert sorted(find(table).values()) == ["x", "y"]


def test_find_tabular_name_that_fits_two_files_is_not_guessed(tmp_path: Path) -> None:
    save_images(tmp_path, random_images(1, 8, 8), prefix="a")
    save_images(tmp_path, random_images(1, 8, 8), prefix="A")
    if len(list(tmp_path.glob("*.png"))) < 2:
        pytest.skip("the disk ignores case")
    table = write_table(tmp_path / "labels.csv", "path,label\na000.png,x\n./A000.PNG,y\n")
    paths = [Path(i.path) for i in find_tabular(TabularConfig(path=str(table))).items]
    assert [path.exists() for path in paths] == [True, False]


def test_find_tabular_cp949_is_read_with_a_note(tmp_path: Path) -> None:
    save_images(tmp_path / NFC, random_images(1, 8, 8))
    table = write_table(
        tmp_path / "labels.csv", f"path,label\n{NFC}/000.png,양품\n".encode("cp949")
    )
    source = find_tabular(TabularConfig(path=str(table)))
    assert source.classes == ("양품",)
    assert "cp949" in source.notes[0]


def test_find_tabular_error_carries_the_note_of_how_the_text_was_read(tmp_path: Path) -> None:
    table = write_table(tmp_path / "labels.csv", "path,label\n없음.png,양품\n".encode("cp949"))
    with pytest.raises(DatasetError, match="none of its 1 images") as error:
        find(table)
    assert any("cp949" in note for note in error.value.__notes__)


@pytest.mark.parametrize(
    "prefix",
    [
        "D:\\data\\parts\\",
        "\\\\nas\\share\\parts\\",
        "/mnt/old/parts/",
        "c:/x/parts/",
        " D:\\data\\PARTS\\",
    ],
)
def test_find_tabular_absolute_paths_are_found_below_the_root(
    parts: Path, tmp_path: Path, prefix: str
) -> None:
    line = rows_of(lambda c, n: f"{prefix}{c}{prefix[-1]}{n},{c}")
    if "PARTS" in prefix:
        line = line.replace("good\\", "GOOD\\")
    table = write_table(tmp_path / "labels.csv", line)
    with pytest.raises(DatasetError, match=r"dataset\.root=FOLDER"):
        find(table)
    assert find(table, parts) == find(table, tmp_path) == expected(parts)
    (parts / "bad/003.png").unlink()
    with pytest.raises(DatasetError, match=r"dataset\.root: 1 of 10 images are not below .*003"):
        find(table, parts)
    with pytest.raises(DatasetError, match=r"dataset\.root: .* found nothing at"):
        find(table, parts / "nowhere")


def test_find_tabular_moved_name_that_fits_two_files_is_not_guessed(tmp_path: Path) -> None:
    for name in ("a", "A"):
        save_images(tmp_path / "x", random_images(1, 8, 8), prefix=name)
    if len(list(tmp_path.glob("x/*.png"))) < 2:
        pytest.skip("the disk ignores case")
    table = write_table(tmp_path / "labels.csv", "path,label\nD:\\X\\a000.png,x\n")
    with pytest.raises(DatasetError, match="1 of 1 images are not below"):
        find(table, tmp_path)


def test_find_tabular_file_listed_in_two_ways_is_refused(parts: Path) -> None:
    table = write_table(
        parts / "labels.csv", rows_of(lambda c, n: f"{c}/{n},{c}") + "\n./bad/../good/000.png,bad"
    )
    with pytest.raises(DatasetError, match="line 2 and line 12 both list"):
        find(table)


def test_find_tabular_relative_paths_are_below_the_root(parts: Path, tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    table = write_table(tmp_path / "tables/labels.csv", rows_of(lambda c, n: f"{c}/{n},{c}"))
    assert find(table, parts) == expected(parts)


def test_find_tabular_excluded_rows_are_not_read(parts: Path) -> None:
    table = write_table(parts / "labels.csv", rows_of(lambda c, n: f"{c}\\{n},{c}"))
    source = find_tabular(TabularConfig(path=str(table), exclude=["004.*", "bad"]))
    assert len(source.items) == 4


@pytest.mark.parametrize("kind", ["csv", "json"])
@pytest.mark.parametrize(
    ("image", "below"),
    [("/data/local-files/?d=parts/{}/{}", ""), ("/data/upload/{}/{}", "parts"), ("{}/{}", "parts")],
)
def test_find_tabular_reads_label_studio(
    parts: Path, tmp_path: Path, kind: str, image: str, below: str
) -> None:
    (parts / "good/000.png").rename(parts / "good/a b.png")
    names = [(path.parent.name, path.name.replace(" ", "%20")) for path in parts.glob("*/*.png")]
    if "?d=" not in image and "upload" not in image:
        names = [(label, name.replace("%20", " ")) for label, name in names]
    choice = "label" if below else "choice"  # as a template may name it
    rows = [
        {"image": image.format(*one), "id": n, choice: one[0], "annotator": 1, "lead_time": 0.5}
        for n, one in enumerate(names)
    ]
    table = tmp_path / f"export.{kind}"
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    write_table(table, json.dumps(rows) if kind == "json" else "\n".join(lines))
    assert find(table, tmp_path / below) == expected(parts)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.csv",
            'image,choice,annotator\na.png,"{""choices"": [""x"", ""y""]}",1\n',
            "line 2: expected one class",
        ),
        ("a.json", '[{"data": {"image": "a.png"}, "annotations": []}]', "only Label Studio's JSON"),
        ("a.json", '{"images": [], "categories": []}', "only Label Studio's JSON-MIN"),
        ("a.json", "[" * 100_000, "not a readable JSON"),
        ("a.xml", "<annotations/>", "XML is not read"),
        ("_classes.csv", "filename, good, bad\na.png, 1, 1\n", "line 2: expected one class"),
        ("default.txt", "a 0\nb 1\n", "expected the columns path"),
    ],
)
def test_find_tabular_other_exports_are_refused_by_name(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        find(write_table(tmp_path / name, content))


def test_find_tabular_reads_the_classes_of_roboflow(parts: Path) -> None:
    shutil.copytree(parts / "good", parts, dirs_exist_ok=True)
    lines = [f"{n:03d}.png, {int(n < 2)}, {int(n >= 2)}" for n in range(5)]
    table = write_table(parts / "_classes.csv", "\n".join(["filename, good, bad", *lines]))
    assert list(find(table).values()) == ["good", "good", "bad", "bad", "bad"]


def read(table: Path, root: Path | None = None) -> Manifest:
    return read_dataset(
        TabularConfig(name="x", path=str(table), root=str(root) if root else None), seed=0
    )


@pytest.fixture
def manifest(parts: Path) -> Manifest:
    return read(write_table(parts / "labels.csv", rows_of(lambda c, n: f"{c}/{n},{c}")))


def test_move_manifest_finds_images_by_their_content(
    manifest: Manifest, parts: Path, tmp_path: Path
) -> None:
    new = shutil.copytree(parts, tmp_path / "new/place")
    shutil.rmtree(parts)
    (new / "good/000.png").rename(new / "renamed.png")
    (new / "good/001.png").replace(new / "good/000.png")  # another content at this path
    moved = move_manifest(manifest, str(tmp_path / "new"))
    assert moved.fingerprint == manifest.fingerprint
    assert sorted(moved.files) == sorted(map(str, new.rglob("*.png")))
    for row in range(10):
        moved.read_image(row)  # it has the noted content
    (new / "renamed.png").unlink()
    with pytest.raises(DatasetError, match=r"1 of 10 images are not below .*good/000\.png"):
        move_manifest(manifest, str(tmp_path / "new"))


def test_read_dataset_manifest_of_moved_images_is_a_table(
    manifest: Manifest, parts: Path, tmp_path: Path
) -> None:
    manifest.write(tmp_path / "manifest.parquet")
    new = parts.rename(tmp_path / "moved")
    (new / "bad/002.png").rename(new / "other.png")
    with pytest.raises(DatasetError, match=r"dataset\.root=FOLDER"):
        read(tmp_path / "manifest.parquet")
    again = read(tmp_path / "manifest.parquet", root=new)
    assert again.fingerprint == manifest.fingerprint


@linux
def test_read_dataset_name_that_is_not_utf8_keeps_its_bytes(
    manifest: Manifest, parts: Path, tmp_path: Path
) -> None:
    name = "불량".encode("cp949") + b".png"
    (parts / "bad/000.png").rename(parts / "bad" / os.fsdecode(name))
    table = rows_of(lambda c, n: f"{c}/{n},{c}").encode().replace(b"bad/000.png", b"bad/" + name)
    (parts / "labels.csv").write_bytes(table)
    with pytest.raises(DatasetError, match="not UTF-8"):
        read(parts / "labels.csv")
    found = move_manifest(manifest, str(parts))
    raw = os.fsencode(str(parts / "bad")) + b"/" + name
    (row,) = (row for row in found.table.to_pylist() if row["path_bytes"])
    assert bytes.fromhex(row["path_bytes"]) == raw
    assert row["path"] == raw.decode(errors="backslashreplace")
    found.write(tmp_path / "manifest.parquet")
    again = read_manifest(tmp_path / "manifest.parquet")
    assert again.files == found.files
    assert read(tmp_path / "manifest.parquet").fingerprint == manifest.fingerprint
    again.read_image(again.files.index(os.fsdecode(raw)))
