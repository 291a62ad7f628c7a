import os
import socket
import subprocess
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sihwa.errors import DatasetError
from sihwa.images import find_images, read_bytes, read_content, walk_folder
from sihwa.scoring import Sources
from tests.unit.images.forge import write, write_tar, write_zip

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")


def listed(*words: object) -> list[str]:
    return [entry.path for entry in Sources([str(word) for word in words])]


def faults(table: Path) -> dict[str, str]:
    """The files of a table, each with the begin of what is wrong with its row."""
    return {Path(entry.path).name: (entry.fault or "")[:39] for entry in Sources([table])}


def test_sources_folder_is_listed_in_the_order_of_whole_paths(tmp_path: Path) -> None:
    names = [
        "b.png", "a/z.jpg", "a.png", "a-1/x.png", "a/b/c.tif", "부품/1.png", "B.png", "a/n.txt"
    ]  # fmt: skip
    write(tmp_path, *names)
    sources = Sources([tmp_path])
    expected = sorted((str(tmp_path / name) for name in names[:-1]), key=os.fsencode)
    assert [entry.path for entry in sources] == expected == list(find_images(tmp_path).images)
    assert sources.left_out == {"other": 1}
    assert [entry.path for entry in sources] == expected  # again, the same
    assert sources.left_out == {"other": 1}


@pytest.mark.parametrize(
    ("word", "found"),
    [("parts/", "parts/"), ("parts//", "parts/"), ("./parts/", "./parts/"), ("./", "./parts/")],
)
def test_sources_folder_may_be_given_with_slashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str, found: str
) -> None:
    write(tmp_path, "parts/a.png")
    monkeypatch.chdir(tmp_path)
    assert listed(word) == [f"{found}a.png"]


@posix
@pytest.mark.parametrize("root", ["/", "//"])
def test_walk_folder_root_of_the_system_is_listed(root: str) -> None:
    assert next(walk_folder(root)).path.count("/") >= 1
    assert next(walk_folder(root)).path != "/"


@given(st.sets(st.text("ab-./", min_size=1, max_size=6), max_size=12))
def test_walk_folder_any_tree_has_the_order_of_whole_paths(
    tmp_path_factory: pytest.TempPathFactory, names: set[str]
) -> None:
    root = tmp_path_factory.mktemp("tree")
    for name in sorted(names):
        path = root / "x" / name.replace(".", "c").strip("/") / "p.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = [found.path for found in walk_folder(str(root))]
    assert found == sorted(found, key=os.fsencode)
    assert len(found) == len(list(root.rglob("p.png")))


@posix
def test_walk_folder_deep_tree_needs_no_deep_stack(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(1200):
        folder = folder / "d"
    here = Path.cwd()
    try:
        os.chdir(tmp_path)
        for _ in range(1200):  # a step at a time: the whole path is near the system's limit
            Path("d").mkdir()
            os.chdir("d")
        Path("a.png").touch()
    finally:
        os.chdir(here)
    found = listed(tmp_path)
    subprocess.run(["rm", "-r", tmp_path / "d"], check=True)  # too deep for Python's own
    assert found == [str(folder / "a.png")]


@posix
def test_sources_special_files_and_loops_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path, "a.png")
    os.mkfifo(tmp_path / "pipe.png")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "me.png").symlink_to(tmp_path / "me.png")
    (tmp_path / "nowhere.png").symlink_to("gone.png")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(tmp_path)  # a socket's path has a short limit
        server.bind("socket")
        os.chdir(here)
    sources = Sources([tmp_path])
    names = [Path(entry.path).name for entry in sources]
    assert names == ["a.png", "me.png", "nowhere.png", "pipe.png"]
    assert sources.left_out == {"special": 2, "folder link": 1}


@posix
def test_sources_suffixes_of_any_bytes_are_counted_as_they_are_shown(tmp_path: Path) -> None:
    names = [b"note.\xff", b"a.\x1b[2J", b"a.\nb", b"A.TXT", b"._mac.jpg", b"none", b".\xff"]
    for name in names:
        write(tmp_path, os.fsdecode(name))
    sources = Sources([tmp_path])
    assert list(sources) == []
    assert sorted(sources.suffixes) == sorted([r".\xff", r".\x1b[2j", r".\nb", ".txt", "no suffix"])
    assert sources.service == {"._*": 1, r".\xff": 1}


def test_sources_come_in_the_order_given(tmp_path: Path) -> None:
    b, a, single = write(tmp_path, "b/1.png", "a/1.png", "z.dat")
    assert listed(tmp_path / "b", single, tmp_path / "a") == [b, single, a]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.png", ["a.png", "b.png"]),
        ("**/*.png", ["a.png", "b.png", "d/c.png", "d/e/f.png"]),
        ("d/*", ["d/c.png", "d/e/f.png"]),
        ("[!a].png", ["b.png"]),
        ("d/?/*.p*g", ["d/e/f.png"]),
        ("d*/e", ["d/e/f.png"]),
        ("*.jpg", []),
        # a folder that it names is listed with all below
        ("*", ["a.png", "b.png", "d/c.png", "d/e/f.png"]),
        ("[.]*", []),
        ("?h.png", []),
        (".*", [".d/b.png", ".h.png"]),
        (".d/*", [".d/b.png"]),
        ("**/.h.png", [".h.png", "d/.h.png"]),
    ],
)
def test_sources_glob_names_what_a_shell_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, expected: list[str]
) -> None:
    write(tmp_path, "a.png", "b.png", "d/c.png", "d/e/f.png", "d/n.txt")
    write(tmp_path, ".h.png", ".d/b.png", "d/.h.png")
    assert listed(tmp_path / pattern) == [str(tmp_path / name) for name in expected]
    monkeypatch.chdir(tmp_path)
    assert listed(pattern) == expected


def test_sources_glob_reads_the_archives_that_it_names(tmp_path: Path) -> None:
    write(tmp_path, "d/below/z.png", "d/c.png")
    for name in ("a.zip", "d/below/deep.zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as file:
            file.writestr("1.png", b"x")
    (tmp_path / "b.zip").write_bytes(b"PK torn")
    first, broken = Sources([tmp_path / "*.zip"])
    assert first.path == f"{tmp_path}/a.zip!/1.png"
    assert broken.path == f"{tmp_path}/b.zip"
    assert "not a readable .zip" in (broken.fault or "")
    # as in a folder that is named itself, archives below what is named are left where they are
    assert [entry.path.removeprefix(f"{tmp_path}/") for entry in Sources([tmp_path / "*"])] == [
        "a.zip!/1.png", "b.zip", "d/below/z.png", "d/c.png"
    ]  # fmt: skip


@posix
@pytest.mark.parametrize(
    ("pattern", "links"),
    [("g/*/*.png", 2), ("g/b*/c/*.png", 1), ("g/**/x.png", 3), ("g/*.png", 0), ("g/*", 3)],
)
def test_sources_glob_counts_the_links_that_it_would_pass(
    tmp_path: Path, pattern: str, links: int
) -> None:
    write(tmp_path, "g/a/1.png")
    for link in ("g/b", "g/z", "g/a/deep"):
        (tmp_path / link).symlink_to(tmp_path)
    sources = Sources([tmp_path / pattern])
    list(sources)
    assert sources.left_out["folder link"] == links


@posix
def test_sources_glob_follows_links_to_folders_outside(tmp_path: Path) -> None:
    write(tmp_path, "out/1.png", "out/1.txt", "g/2.png")
    (tmp_path / "g/lot").symlink_to(tmp_path / "out")
    assert (
        listed(tmp_path / "g/*/*.png")
        == listed(tmp_path / "g/l*")
        == [str(tmp_path / "g/lot/1.png")]
    )


def test_sources_hidden_names_are_left_out_unless_the_glob_has_the_dot(tmp_path: Path) -> None:
    hidden, _, plain = write(tmp_path, "g/.cache/1.png", "g/@eaDir/1.png/S.jpg", "g/1.png")
    sources = Sources([tmp_path / "g"])
    assert [entry.path for entry in sources] == [plain]
    assert sources.service == {".cache": 1, "@eaDir": 1}
    assert listed(tmp_path / "g/*/*.png") == []
    assert listed(tmp_path / "g/.c*/*.png") == listed(hidden) == [hidden]


def test_sources_file_that_looks_like_a_glob_is_that_file(tmp_path: Path) -> None:
    path, _ = write(tmp_path, "[1].png", "1.png")
    assert listed(path) == [path]


@pytest.mark.parametrize(
    "content",
    [
        b"b.png\na/1.png\n",
        b"b.png\r\na/1.png",
        b"\xef\xbb\xbfb.png\n\na/1.png\n",
        b"b.png\0a/1.png\0",
    ],
    ids=["lines", "CRLF", "mark", "NUL"],
)
def test_sources_list_is_relative_to_itself(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "list.txt").write_bytes(content)
    assert listed(tmp_path / "list.txt") == [str(tmp_path / "b.png"), str(tmp_path / "a/1.png")]


def test_sources_list_ended_by_nul_holds_names_with_new_lines(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"new\nline.png\0\xff.png\0")
    names = [tmp_path / "new\nline.png", tmp_path / os.fsdecode(b"\xff.png")]
    assert listed(tmp_path / "list.txt") == list(map(str, names))


def test_sources_tables_have_a_column_of_paths(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('label,path\nx,a.png\ny,"b, c.png"\n', "utf-8")
    assert listed(tmp_path / "t.csv") == [str(tmp_path / "a.png"), str(tmp_path / "b, c.png")]
    paths = pa.array(["/x/a.png", "양품.png"])
    for column in (paths, paths.dictionary_encode()):
        pq.write_table(pa.table({"path": column}), tmp_path / "t.parquet")
        assert listed(tmp_path / "t.parquet") == ["/x/a.png", str(tmp_path / "양품.png")]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("t.txt", "\ufeffa.png".encode("utf-16-le"), "expected a list in UTF-8, got UTF-16"),
        ("t.csv", "\ufeffpath".encode("utf-16-be"), "expected a list in UTF-8, got UTF-16"),
        ("t.csv", b"file,label\n", "expected a column 'path' .*found file, label. "),
        ("t.csv", b"label;path\n", ".*found label;path. .* with commas"),
        ("t.csv", "경로\n".encode("cp949"), r".*found .*xb0.* UTF-8"),
        ("t.csv", b"", ".*found none"),
        ("t.parquet", b"text", "not a readable list"),
    ],
)
def test_sources_list_that_is_none_is_refused(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=f"{name}: {reason}"):
        Sources([tmp_path / name])


def test_sources_table_row_without_a_file_is_a_fault_alone(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "label,path,page,path_bytes\nx,a.png,1.0,\nbad\nx,b.tif#page=2,2.0,\nx,c.png,two,\n"
        "x,d.png,,zz\nx,e.png,inf,\nx,e.png,1.5,\nx,f.png,,,more\n"
    )
    pq.write_table(
        pa.table({"path": ["a.png", None, "", "b.tif#page=2"], "page": [None, 1, 1, 2.0]}),
        tmp_path / "t.parquet",
    )
    pq.write_table(pa.table({"path": [7]}), tmp_path / "number.parquet")
    pq.write_table(pa.table({"path": ["a"], "page": [[1]]}), tmp_path / "list.parquet")
    bad = "expected a path in this row of the list"
    assert faults(tmp_path / "t.csv") == {
        "a.png": "", "t.csv#line=3": bad, "b.tif": "", "t.csv#line=5": bad, "t.csv#line=6": bad,
        "t.csv#line=7": bad, "t.csv#line=8": bad, "f.png": "",
    }  # fmt: skip
    assert faults(tmp_path / "t.parquet") == {
        "a.png": "", "t.parquet#row=2": bad, "t.parquet#row=3": bad, "b.tif": ""
    }  # fmt: skip
    assert faults(tmp_path / "number.parquet") == {"number.parquet#row=1": bad}
    assert faults(tmp_path / "list.parquet") == {"list.parquet#row=1": bad}


def test_sources_archives_are_listed_and_read_in_place(tmp_path: Path) -> None:
    members = {"b.png": b"one", "양품/a.png": b"two", "notes.txt": b"x"}
    write_zip(tmp_path / "a.zip", members, zipfile.ZIP_DEFLATED)
    write_tar(tmp_path / "a.tar", list(members.items()))
    for archive in (tmp_path / "a.zip", tmp_path / "a.tar"):
        sources = Sources([archive])
        entries = list(sources)
        assert [entry.path for entry in entries] == [f"{archive}!/b.png", f"{archive}!/양품/a.png"]
        assert sources.left_out == {"other": 1}
        for entry, content in zip(entries, (b"one", b"two"), strict=True):
            assert read_content(entry.path, entry.member)[0] == content
            assert read_bytes(entry.path) == content


@pytest.mark.parametrize("member", ["./a.png", "b//a.png", "../a.png", "c/./a.png"])
def test_sources_list_names_members_as_they_are_written(tmp_path: Path, member: str) -> None:
    archive = write_zip(tmp_path / "a.zip", {member: b"one"})
    [expected] = listed(archive)
    (tmp_path / "t.csv").write_text(f"path\n./a.zip!/{member}\n")
    assert listed(tmp_path / "t.csv") == [expected]
    assert read_bytes(expected) == b"one"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        *((name, r"expected a folder of images.*not found") for name in ("nowhere", "a\0b")),
        *((name, "unpack it") for name in ("a.tar.gz", "a.tgz", "A.TAR.XZ")),
        *(
            pytest.param(f"q.{kind}", "expected a regular file, got a pipe", marks=posix)
            for kind in ("txt", "csv", "parquet", "zip", "tar")
        ),
    ],
)
def test_sources_word_that_cannot_be_listed_is_refused(
    tmp_path: Path, name: str, reason: str
) -> None:
    if name.startswith("q."):
        os.mkfifo(tmp_path / name)
    elif reason == "unpack it":
        write(tmp_path, name)
    with pytest.raises(DatasetError, match=reason):
        Sources([f"{tmp_path}/{name}"])
