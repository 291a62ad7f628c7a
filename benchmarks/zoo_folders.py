"""Folders as people and programs leave them: names, links, classes and splits."""

import os
import shutil
import unicodedata
import zipfile
from pathlib import Path

from zoo_case import CLASSES, fill, parts, reads, refused, save

NFC = "정상"
NFD = unicodedata.normalize("NFD", NFC)


@reads("plain", silent=True)
def _(place: Path) -> None:
    parts(place)


@reads("hidden folders", says="hidden or service")
def _(place: Path) -> None:
    for name in (".ipynb_checkpoints", "good/.thumbnails", "good/.Trash-1000"):
        fill(parts(place) / name)


@reads("folders of file servers", says="#recycle")
def _(place: Path) -> None:
    for name in ("good/@eaDir/000.png", "#recycle", "$RECYCLE.BIN", "__MACOSX/good"):
        fill(parts(place) / name)
    (place / "parts/good/Thumbs.db").write_bytes(b"x")


@reads("twins of macOS", says=r"6 \._\*")
def _(place: Path) -> None:
    for path in (parts(place) / "good").glob("*.png"):
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\26\7")


@reads("masks beside images", images=24, says=r"dataset\.exclude=\[\*_mask\.\*\]")
def _(place: Path) -> None:
    for path in list(parts(place).glob("*/*.png")):
        save(path.with_name(f"{path.stem}_mask.bmp"), "L")


@reads("masks excluded", says="leaves out 12 of 24")
def _(place: Path) -> list[str]:
    for path in list(parts(place).glob("*/*.png")):
        save(path.with_name(f"{path.stem}_mask.bmp"), "L")
    return ["dataset.exclude=[*_mask.*]"]


@reads("folder of masks", images=18, classes=(*CLASSES[:1], "ground_truth", "ng"), says="masks")
def _(place: Path) -> None:
    fill(parts(place) / "ground_truth", mode="L")


@reads("link to a folder outside", images=15)
def _(place: Path) -> None:
    fill(place / "lot7", 3)
    (parts(place) / "good/lot7").symlink_to(place / "lot7")


@reads("loop of links", says="not followed")
def _(place: Path) -> None:
    (parts(place) / "good/loop").symlink_to(place / "parts")


@reads("two links to one folder", images=15, says="not followed")
def _(place: Path) -> None:
    fill(place / "lot7", 3)
    for name in CLASSES:
        (parts(place) / name / "lot7").symlink_to(place / "lot7")


@reads("class folder that is a link", images=15, classes=("good", "ng", "z"))
def _(place: Path) -> None:
    fill(place / "elsewhere", 3)
    (parts(place) / "z").symlink_to(place / "elsewhere")


@reads("link to a file outside", images=13)
def _(place: Path) -> None:
    (parts(place) / "good/link.png").symlink_to(save(place / "one.png"))


@refused("link that leads nowhere", r"1 of 13 images cannot be read.*broken\.png: No such file")
def _(place: Path) -> None:
    (parts(place) / "good/broken.png").symlink_to(place / "gone.png")


@refused("link to itself", r"1 of 13 images cannot be read.*self\.png")
def _(place: Path) -> None:
    (parts(place) / "good/self.png").symlink_to(place / "parts/good/self.png")


@refused("classes that differ by case", r'"dataset\.merge=\{good: \[Good\]\}"')
def _(place: Path) -> None:
    fill(parts(place) / "Good", 3)


@reads("classes of one name merged", images=15)
def _(place: Path) -> list[str]:
    fill(parts(place) / "Good", 3)
    return ["dataset.merge={good: [Good]}"]


@refused("classes that differ by width", "ＧＯＯＤ.*dataset.merge")
def _(place: Path) -> None:
    fill(parts(place) / "ＧＯＯＤ", 3)


@reads("class in two Unicode forms", images=18, classes=("ng", NFC))
def _(place: Path) -> None:
    shutil.rmtree(parts(place) / "good")
    fill(place / "parts" / NFC)
    fill(place / "parts" / NFD / "lot")


@reads("accept class in another Unicode form", classes=("ng", NFC))
def _(place: Path) -> list[str]:
    (parts(place) / "good").rename(place / "parts" / NFD)
    return [f"dataset.accept_classes=[{NFC}]"]


@reads("space behind a class name")
def _(place: Path) -> None:
    (parts(place) / "ng").rename(place / "parts/ng ")


for _name in ("good (1)", "[ok]", "ok, good", "it's fine", 'the "best"', "50%", "{a: b}", "😀",
              "0", "007", "true", "null", "1e3"):  # fmt: skip

    @reads(f"class named {_name}", classes=tuple(sorted(("ng", _name))))
    def _(place: Path, name: str = _name) -> list[str]:
        (parts(place) / "good").rename(place / "parts" / name)
        return [f"dataset.accept_classes=[{name}]"]


@reads("class name with a letter without a width", images=15)
def _(place: Path) -> None:
    fill(parts(place) / "good\u200b", 3)


@refused("class name of a formula", "begins with =")
def _(place: Path) -> None:
    (parts(place) / "good").rename(place / "parts/=1+1")


@refused("class name with a line break", r"control character U\+000A")
def _(place: Path) -> None:
    (parts(place) / "good").rename(place / "parts/go\nod")


@refused("class name that is not UTF-8", "not UTF-8")
def _(place: Path) -> None:
    (parts(place) / "good").rename(os.fsdecode(os.fsencode(place / "parts") + b"/\xba\xd2\xb7\xae"))


for _name in ("line\nbreak", "😀", NFD, "x" * 251, "%s", "-rf", "a=b", "a#page=2", "a;b,c 'd'"):

    @reads(f"file named {_name[:20]!a}", images=13)
    def _(place: Path, name: str = _name) -> None:
        save(parts(place) / f"good/{name}.png")


@reads("file name that is not UTF-8", images=12)
def _(place: Path) -> None:
    first = parts(place) / "good/000.png"
    first.rename(first.with_name(os.fsdecode(b"\xba\xd2\xb7\xae.png")))


@reads("forty folders deep", images=13)
def _(place: Path) -> None:
    save(parts(place).joinpath("good", *map(str, range(40)), "deep.png"))


@reads("lots below the classes", images=18)
def _(place: Path) -> None:
    fill(parts(place) / "good/lot1", 3)
    fill(place / "parts/ng/lot1/camera 2", 3)


@reads("outer folders", says="all images are below data/v2")
def _(place: Path) -> None:
    for name in CLASSES:
        fill(place / "parts/data/v2" / name)


@refused("class of one image", "class 'ng': expected at least 2 .*got 1")
def _(place: Path) -> None:
    parts(place, ng=1)


@reads("class of two images", images=8, says="no test image of ng")
def _(place: Path) -> None:
    parts(place, ng=2)


@reads("class of three images", images=9, says="no calibration image of ng")
def _(place: Path) -> None:
    parts(place, ng=3)


@reads("class absent in the given test split", images=24, says="no test image of ng")
def _(place: Path) -> None:
    for name in ("train/good", "train/ng", "val/good", "test/good"):
        fill(place / "parts" / name)


@reads("splits in capitals", images=24)
def _(place: Path) -> None:
    for name in ("Train/good", "Train/ng", "TEST/good", "TEST/ng"):
        fill(place / "parts" / name)


@reads("splits by longer names", images=24)
def _(place: Path) -> None:
    for name in ("train_set/good", "train_set/ng", "Test Data/good", "Test Data/ng"):
        fill(place / "parts" / name)


@reads("splits below an outer folder", images=24, says="below data")
def _(place: Path) -> None:
    for name in ("train/good", "train/ng", "test/good", "test/ng"):
        fill(place / "parts/data" / name)


for _name in ("a, b", "a=b", "[1]", "it's", "{a: b}", "품질 검사", "~"):

    @reads(f"root named {_name}")
    def _(place: Path, name: str = _name) -> list[str]:
        return [f"dataset.root={parts(place).rename(place / name)}"]


@refused("split beside classes", r"got splits \(test\) beside good, ng")
def _(place: Path) -> None:
    fill(parts(place) / "test/good")


@refused("no split train", "train")
def _(place: Path) -> None:
    for name in ("val/good", "val/ng", "test/good", "test/ng"):
        fill(place / "parts" / name)


@refused("identical images in train and test", "dataset.split.given=ignore")
def _(place: Path) -> None:
    for name in ("train/good", "train/ng", "test/good", "test/ng"):
        fill(place / "parts" / name)
    shutil.copy(place / "parts/train/good/000.png", place / "parts/test/good/copy.png")


@reads("splits of Roboflow", images=30)
def _(place: Path) -> None:
    for name in ("train/good", "train/ng", "valid/good", "valid/ng", "test/good"):
        fill(place / "parts" / name)
    (place / "parts/README.roboflow.txt").write_text("x")


@reads("export of CVAT with no_label", images=18, classes=("good", "ng", "no_label"),
       says="nobody labelled")  # fmt: skip
def _(place: Path) -> None:
    fill(parts(place) / "no_label")


for _name, _says in {
    "_annotations.coco.json": "COCO",
    "annotations.xml": "CVAT",
    "annotations/default.json": "Geti",
    "data.yaml": "YOLO",
    "_classes.csv": "_classes.csv",
}.items():

    @refused(f"export with {_name}", _says)
    def _(place: Path, name: str = _name) -> None:
        fill(place / "parts/images/default")
        (place / "parts" / name).parent.mkdir(exist_ok=True)
        (place / "parts" / name).write_text("{}")


@reads("empty class folder", says="parts/blister contains no image")
def _(place: Path) -> None:
    (parts(place) / "blister").mkdir()


@refused("one class", r"at least two classes, got 1 \(good\)")
def _(place: Path) -> None:
    fill(place / "parts/good")


@refused("no image", "no image in")
def _(place: Path) -> None:
    (place / "parts/good").mkdir(parents=True)


@refused("images of a format that is not read", r"no image .*\(\.heic\)")
def _(place: Path) -> None:
    for path in list(parts(place).glob("*/*.png")):
        path.rename(path.with_suffix(".heic"))


@reads("some files of a format that is not read", says=r"3 .*\.heic")
def _(place: Path) -> None:
    for n in range(3):
        (parts(place) / f"good/{n}.HEIC").write_bytes(b"\0\0\0\x18ftypheic")


@refused("images without a class folder", "expected below <class>")
def _(place: Path) -> None:
    fill(place / "parts")


@refused("images beside the class folders", r"stray\.png: expected below <class>")
def _(place: Path) -> None:
    save(parts(place) / "stray.png")


@refused("root that is not there", "found nothing at")
def _(place: Path) -> None:
    pass


@refused("root that is an image", "found another file")
def _(place: Path) -> list[str]:
    return [f"dataset.root={save(place / 'one.png')}"]


@refused("root that is empty text", "empty path")
def _(place: Path) -> list[str]:
    parts(place)
    return ["dataset.root="]


@refused("accept class that is not there", "no class 'Good'; classes: good, ng")
def _(place: Path) -> list[str]:
    parts(place)
    return ["dataset.accept_classes=[Good]"]


@refused("all classes accepted", "every class would pass")
def _(place: Path) -> list[str]:
    parts(place)
    return ["dataset.accept_classes=[good, ng]"]


@refused("folder named like an archive", r"must not end in \.zip!")
def _(place: Path) -> None:
    fill(parts(place) / "good/a.zip!")


def _zipped(place: Path, *names: str) -> zipfile.ZipFile:
    root = parts(place)
    archive = zipfile.ZipFile(place / "parts.zip", "w")
    for path in sorted(root.glob("*/*.png")):
        for name in names:
            archive.write(path, name.format(path.relative_to(root)))
    return archive


@reads("zip")
def _(place: Path) -> list[str]:
    _zipped(place, "{}").close()
    return [f"dataset.root={place / 'parts.zip'}"]


@reads("zip of macOS", says="__MACOSX")
def _(place: Path) -> list[str]:
    _zipped(place, "set/{}", "__MACOSX/set/{}").close()
    return [f"dataset.root={place / 'parts.zip'}"]


@reads("zip with backslashes")
def _(place: Path) -> list[str]:
    with zipfile.ZipFile(place / "parts.zip", "w") as archive:
        for path in sorted(parts(place).glob("*/*.png")):
            archive.writestr(f"{path.parent.name}\\{path.name}", path.read_bytes())
    return [f"dataset.root={place / 'parts.zip'}"]


@refused("zip cut short", r"not a readable \.zip")
def _(place: Path) -> list[str]:
    _zipped(place, "{}").close()
    whole = (place / "parts.zip").read_bytes()
    (place / "parts.zip").write_bytes(whole[: len(whole) // 2])
    return [f"dataset.root={place / 'parts.zip'}"]


@refused("tar.gz", r"expected a folder or a \.zip")
def _(place: Path) -> list[str]:
    shutil.make_archive(str(place / "set"), "gztar", parts(place))
    return [f"dataset.root={place / 'set.tar.gz'}"]
