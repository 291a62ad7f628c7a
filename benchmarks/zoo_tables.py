"""Tables of labels as people, spreadsheets and labelling programs write them."""

import json
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from zoo_case import CLASSES, FOUND, Case, parts

NAMES = [(label, f"{n:03d}.png") for label in CLASSES for n in range(6)]
Content = str | bytes | Callable[[Path], str | bytes]


def rows(row: str, head: str = "path,label", end: str = "\n") -> str:
    """Return a table of the twelve images; `{c}` is the class and `{n}` the file."""
    return end.join([head, *(row.format(c=c, n=n) for c, n in NAMES), ""])


PLAIN = rows("{c}/{n},{c}")


def read(name: str, content: Content, *settings: str, images: int = 12, says: str = "",
         silent: bool = False, table: str = "labels.csv") -> None:  # fmt: skip
    """Register a table that is read; `{parts}` in a setting is the folder of the images."""
    draw = _drawing(content, settings, table)
    FOUND.append(Case(f"table: {name}", draw, "table", images, says=says, silent=silent))


def refuse(name: str, content: Content, says: str, *settings: str,
           table: str = "labels.csv") -> None:  # fmt: skip
    """Register a table that is refused."""
    FOUND.append(Case(f"table: {name}", _drawing(content, settings, table), "table", says=says))


def _drawing(
    content: Content, settings: tuple[str, ...], table: str
) -> Callable[[Path], list[str]]:
    def draw(place: Path) -> list[str]:
        root = parts(place)
        text = content(root) if callable(content) else content
        (root / table).write_bytes(text if isinstance(text, bytes) else text.encode())
        return [f"dataset.path={root / table}", *(one.format(parts=root) for one in settings)]

    return draw


read("plain", PLAIN, silent=True)
read("byte-order mark", "\ufeff" + PLAIN)
read("UTF-16", PLAIN.encode("utf-16"))
read("line ends of Windows", rows("{c}/{n},{c}", end="\r\n"))
read("line ends of old macOS", rows("{c}/{n},{c}", end="\r"))
read("backslashes", rows(r"{c}\{n},{c}"))
read("semicolons", rows("{c}/{n};{c}", "path;label"))
read("tabs", rows("{c}/{n}\t{c}", "path\tlabel"), table="labels.tsv")
read("sep=;", "sep=;\n" + rows("{c}/{n};{c}", "path;label"))
read("trailing commas", rows("{c}/{n},{c},,", "path,label,,"))
read("blank lines", rows("{c}/{n},{c}", end="\n\n ,\n,,\n"))
read("spaces around", rows("  {c}/{n} ,\u00a0{c} ", " path , label "))
read("names in quotes", rows('"{c}/{n}","{c}"', '"path","label"'))
read("column names in capitals", rows("{c}/{n},{c}", "Path,LABEL"))
read("file names in another case", rows("{c}/{n},{c}").replace("good/0", "Good/0"))
read("more columns", rows("{c}/{n},{c},7,operator 3", "path,label,lot,who"))
read("columns in another order", rows("{c},x,{c}/{n}", "label,note,path"))
read("groups", rows("{c}/{n},{c},{n}", "path,label,group"))
read("dots in paths", rows("./{c}/../{c}/{n},{c}"))
read("a number for each row, without a column name", rows("3,{c}/{n},{c}", ",path,label"),
     says="without a name")  # fmt: skip
read("Unicode text of a spreadsheet", rows("{c}/{n}\t{c}", "path\tlabel").encode("utf-16"),
     table="labels.txt")  # fmt: skip
read("mark of UTF-8 within a joined table", PLAIN.replace("ng/000", "\ufeffng/000"))
read("address of a member", lambda root: _zipped(root))
for _prefix in ("D:\\data\\parts\\", "\\\\nas\\share\\", "c:/x/", "/mnt/old/parts/"):
    _row = f"{_prefix}{{c}}{_prefix[-1]}{{n}},{{c}}"
    read(f"{_prefix} with dataset.root", rows(_row), "dataset.root={parts}")
    refuse(f"{_prefix} alone", rows(_row), r"dataset\.root=FOLDER")
read("drive letter in another case",
     rows(r"D:\DATA\{c}\{n},{c}").replace(r"DATA\good", r"DATA\GOOD"),
     "dataset.root={parts}")  # fmt: skip
read("drive letter behind a space", rows(r" D:\data\{c}\{n} ,{c}"), "dataset.root={parts}")
read("cp949", rows("{c}/{n},{c},불량 검사", "path,label,note").encode("cp949"), says="cp949")
refuse("latin-1", rows("{c}/{n},{c},é", "path,label,note").encode("latin-1"), "not UTF-8")
refuse("NUL bytes", b"path,label\n\0\0\0\n", "NUL")
refuse("UTF-16 without its mark", PLAIN.encode("utf-16-le"), "NUL|UTF-8")
refuse("rows twice", PLAIN + "good/000.png,good\n", "line 2 and line 14 both list")
refuse("row twice, written in two ways", PLAIN + "./ng/../good/000.png,good\n",
       "line 2 and line 14 both list")  # fmt: skip
refuse("two labels", PLAIN + "good/000.png,ng\n", "line 2 and line 14 both list")
refuse("one missing file", PLAIN + "good/999.png,good\n", r"1 of 13 .*999\.png: No such file")
refuse("all files missing", rows("elsewhere/{c}/{n},{c}"), "none of its 12 images.*dataset.root")
refuse("empty", "", "missing path and label among none|is empty")
refuse("only blank lines", "\n\n", "missing path and label among none|is empty")
refuse("only a header", "path,label\n", "has no row")
refuse("wrong columns", rows("{c}/{n},{c}", "filename,class"), "missing path and label among file")
refuse("no header", rows("{c}/{n},{c}").partition("\n")[2], "missing path and label among good/0")
refuse("no label column", "path\ngood/000.png\n", "missing label among path")
refuse("no label", PLAIN + "good/000.png,\n", "line 14: .*label.*")
refuse("no path", PLAIN + ",good\n", "line 14: the path is empty")
refuse("too many values", PLAIN + "good/0,1.png,good\n", "line 14: 3 values for 2 columns")
refuse("too few values", PLAIN + "good/000.png\n", "line 14: 1 values? for 2 columns")
refuse("open quote", PLAIN + '"good/000.png,good\n', "not a readable CSV")
refuse("column twice", rows("{c}/{n},{c},{c}", "path,label,label"), "more than once")
refuse("unknown split", rows("{c}/{n},{c},dev", "path,label,split"), "line 2: split must be")
refuse("some splits", rows("{c}/{n},{c},train", "path,label,split") + "good/9.png,good,\n",
       "line 14 has no split")  # fmt: skip
refuse("web addresses", rows("https://example.org/{c}/{n},{c}"), "is an address, not a file")
refuse("folder in place of a file", PLAIN + "good,good\n", "good: (Is a directory|not a regular)")
refuse("classes by case", PLAIN.replace("000.png,good", "000.png,Good"), "dataset.merge")
refuse("a formula as a label", PLAIN.replace(",ng", ",=1"), "begins with =")
refuse("spreadsheet", b"PK\3\4", "spreadsheet", table="labels.xlsx")
refuse("table that is not there", PLAIN, "no table at", "dataset.path={parts}/none.csv")
refuse("folder as the table", PLAIN, "no table at", "dataset.path={parts}")
refuse("damaged Parquet", b"PAR1", "not a readable Parquet", table="labels.parquet")


def _zipped(root: Path) -> str:
    shutil.make_archive(str(root / "all"), "zip", root)
    return rows("all.zip!/{c}/{n},{c}")


def _parquet(_: Path) -> bytes:
    columns = {"path": [f"{c}/{n}" for c, n in NAMES], "label": [c for c, _ in NAMES]}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


def _decomposed(root: Path) -> str:
    for label, name in NAMES:
        (root / label / name).rename(root / label / f"불량{name}")
    return unicodedata.normalize("NFD", rows("{c}/불량{n},{c}"))


def _label_studio() -> list[dict[str, object]]:
    return [
        {"image": f"/data/local-files/?d={c}/{n}", "id": i, "choice": c, "annotator": 1}
        for i, (c, n) in enumerate(NAMES)
    ]


read("Parquet", _parquet, table="labels.parquet")
read("decomposed names", _decomposed)
read("JSON-MIN of Label Studio", lambda _: json.dumps(_label_studio()), table="a.json")
for _choice in ("choice", "label", "defect"):
    read(f"CSV of Label Studio with a column {_choice}",
         rows("/data/local-files/?d={c}/{n},1,{c},1", f"image,id,{_choice},annotator"))  # fmt: skip
refuse("several choices of Label Studio",
       'image,choice,annotator\ngood/000.png,"{""choices"": [""x"", ""y""]}",1\n',
       "line 2: expected one class")  # fmt: skip
refuse("JSON of Label Studio", '[{"data": {"image": "a.png"}}]', "JSON-MIN", table="a.json")
refuse("JSON of Geti", '{"items": [], "categories": {}}', "JSON-MIN|Datumaro", table="a.json")
refuse("XML of CVAT", "<annotations/>", "XML is not read", table="annotations.xml")
read("_classes.csv of Roboflow",
     "\n".join(["filename, good, ng", *(f"{c}/{n}, {int(c == 'good')}, {int(c == 'ng')}"
                                          for c, n in NAMES)]), table="_classes.csv")  # fmt: skip
refuse("_classes.csv with two classes of an image", "filename, good, ng\ngood/000.png, 1, 1\n",
       "line 2: expected one class", table="_classes.csv")  # fmt: skip
