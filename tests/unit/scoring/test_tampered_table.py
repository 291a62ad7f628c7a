"""Tables that someone changed: refused in one line, and left as they are."""

import csv
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from sihwa.errors import SihwaError
from sihwa.scoring import ScoreOptions, ScoreSummary, score_sources
from tests.helpers import random_images, save_images
from tests.unit.scoring.stub import stub_inspector

FORMATS = ["scores.csv", "scores.jsonl", "scores"]


def score(source: Path, out: Path) -> ScoreSummary:
    return score_sources(stub_inspector(), source, out, ScoreOptions(resume=True, batch_size=2))


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Images in plain files, one with line breaks and quotes in its name, and a TIFF."""
    folder = tmp_path / "in"
    saved = save_images(folder, random_images(6, 20, 20))
    shutil.copy(saved[0], folder / 'one\r\n"two", three\n.png')
    shutil.copy(saved[1], folder / "zz.png")
    pages = [Image.fromarray(page) for page in random_images(3, 16, 18)]
    pages[0].save(folder / "a.tif", save_all=True, append_images=pages[1:])
    return folder


def assert_refused(parts: Path, out: Path, match: str) -> None:
    before = {path: path.read_bytes() for path in out.parent.rglob("*") if path.is_file()}
    with pytest.raises(SihwaError, match=match) as caught:
        score(parts, out)
    assert "\n" not in str(caught.value)
    for path, content in before.items():
        assert path.suffix == ".json" or path.read_bytes() == content


@pytest.mark.parametrize("name", ["a.tif#page=2", "001.png", "005.png", "three\n.png", "zz.png"])
@pytest.mark.parametrize("tail", [b"", b"/in/half", bytes(3_000_000)])
@pytest.mark.parametrize("place", ["in front", "behind", "path_bytes"])
def test_resume_stray_quote_is_refused_wherever_it_is(
    parts: Path, tmp_path: Path, name: str, tail: bytes, place: str
) -> None:
    out = tmp_path / "scores.csv"
    score(parts, out)
    content, mark = out.read_bytes(), name.encode()
    at = content.index(mark)
    if place == "in front":
        at = content.rindex(b"\r\n", 0, at) + 2
    elif place == "behind":
        at += len(mark)
    else:
        at = content.index(b",", at) + 1
    out.write_bytes(content[:at] + b'"' + content[at:] + tail)
    (parts / "002.png").unlink()
    assert_refused(parts, out, "is not as it was written; the file was changed")


def test_resume_name_with_line_breaks_cut_at_any_byte_becomes_the_whole_table(
    parts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scores.csv"
    whole = score(parts, out).images
    content = out.read_bytes()
    begin = content.index(b'"', content.index(b"005.png"))
    for length in range(content.index(b"one", begin), content.index(b".png", begin) + 8):
        out.write_bytes(content[:length])
        assert score(parts, out).images == whole


def edit_cells(out: Path, **cells: object) -> None:
    """Change cells of the third row of a table of any format."""
    if out.suffix == ".csv":
        with out.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
        for name, cell in cells.items():
            rows[3][rows[0].index(name)] = "" if cell is None else str(cell)
        with out.open("w", encoding="utf-8-sig", newline="") as file:
            csv.writer(file).writerows(rows)
    elif out.suffix == ".jsonl":
        lines = out.read_text("utf-8").splitlines()
        lines[2] = json.dumps({**json.loads(lines[2]), **cells})
        out.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    else:
        part = out / "rows" / "part-00000000.parquet"
        table = pq.read_table(part)
        rows = table.to_pylist()
        rows[2].update(cells)
        pq.write_table(pa.Table.from_pylist(rows, table.schema), part)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("path", ""),
        ("path_bytes", "no hex"),
        ("decision", ""),
        ("decision", "ACCEPT"),
        ("decision", '{"a": 1}'),
    ],
)
def test_resume_cell_that_no_row_may_hold_is_refused(
    parts: Path, tmp_path: Path, name: str, column: str, cell: str
) -> None:
    out = tmp_path / name
    score(parts, out)
    edit_cells(out, **{column: cell})
    assert_refused(parts, out, "(it|file) was changed. Name another --out")


@pytest.mark.parametrize(
    "cells",
    [
        {"path": None},
        {"path": "\ud800x"},
        {"path": ["a.png"]},
        {"decision": "\ud800x"},
        {"decision": {"a": 1}},
        {"top_class": {"a": 1}},
        {"size": 1.5},
    ],
)
def test_resume_json_of_another_kind_is_refused(
    parts: Path, tmp_path: Path, cells: dict[str, object]
) -> None:
    out = tmp_path / "scores.jsonl"
    score(parts, out)
    edit_cells(out, **cells)
    assert_refused(parts, out, "row 3 is not as it was written")


def test_resume_json_nested_too_deep_is_refused(parts: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.jsonl"
    score(parts, out)
    content, summary = out.read_bytes(), tmp_path / "scores.summary.json"
    out.write_bytes(b"[" * 200_000 + b"\n" + content)
    assert_refused(parts, out, "row 1 is not as it was written")
    summary.write_text("[" * 200_000)
    assert_refused(parts, out, r"scores\.summary\.json, which says .* not readable")


@pytest.mark.parametrize("name", FORMATS)
def test_resume_row_that_is_there_twice_is_refused(parts: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    score(parts, out)
    if name == "scores":
        part = out / "rows" / "part-00000000.parquet"
        shutil.copy(part, part.with_name("part-00000001.parquet"))
    else:
        with out.open("ab") as file:
            file.write(out.read_bytes().splitlines(keepends=True)[3])
    assert_refused(parts, out, "expected one row for each image, got two for '/.*'; the")


def test_resume_file_named_like_a_page_is_another_image(parts: Path, tmp_path: Path) -> None:
    shutil.copy(parts / "001.png", parts / "a.tif#page=2")
    words = [parts, parts / "a.tif#page=2"]
    for new_images in (12, 0):
        summary = score_sources(
            stub_inspector(), words, tmp_path / "scores.csv", ScoreOptions(resume=True)
        )
        assert summary.new_images == new_images
