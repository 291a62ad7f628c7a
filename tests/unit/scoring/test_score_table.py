import json
from pathlib import Path

import pytest

from sihwa.errors import DatasetError
from sihwa.scoring import row_schema
from sihwa.scoring.score_table import open_scores
from tests.helpers import CLASSES, random_images, save_images
from tests.score_helpers import FORMATS, read, score


@pytest.mark.parametrize("name", FORMATS)
def test_open_scores_reads_every_form_as_it_was_written(tmp_path: Path, name: str) -> None:
    save_images(tmp_path / "NA", random_images(5, 20, 20))
    (tmp_path / "NA" / "broken.png").write_bytes(b"x")
    score(tmp_path / "NA", tmp_path / name)
    found = open_scores(tmp_path / name)
    assert found.classes == CLASSES
    assert found.schema == row_schema(CLASSES)
    rows = list(found.rows())
    table = read(tmp_path / name)
    assert len(rows) == 6
    some = list(found.rows(["decision", "path"]))
    assert some == [{"decision": row["decision"], "path": row["path"]} for row in rows]
    for row, expected in zip(rows, table.to_dict("records"), strict=True):
        assert {key: row[key] for key in expected} == expected


def test_open_scores_keeps_columns_that_others_added(tmp_path: Path) -> None:
    save_images(tmp_path / "in", random_images(1, 20, 20))
    score(tmp_path / "in", tmp_path / "s.jsonl")
    (line,) = (tmp_path / "s.jsonl").read_text().splitlines()
    (tmp_path / "s.jsonl").write_text(json.dumps({"label": "good", **json.loads(line)}) + "\n")
    (row,) = open_scores(tmp_path / "s.jsonl").rows()
    assert row["label"] == "good"


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"decision": "maybe"}, "row 1: expected accept, reject or review"),
        ({"unknown": float("nan")}, "row 1: expected a finite number"),
        ({"unknown": "much"}, "not a readable score table"),
        ({"path": None}, "not a readable score table"),
    ],
)
def test_open_scores_refuses_a_cell_that_no_row_has(
    tmp_path: Path, changes: dict[str, object], fact: str
) -> None:
    save_images(tmp_path / "in", random_images(1, 20, 20))
    score(tmp_path / "in", tmp_path / "s.jsonl")
    row = json.loads((tmp_path / "s.jsonl").read_text()) | changes
    (tmp_path / "s.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(DatasetError, match=fact):
        list(open_scores(tmp_path / "s.jsonl").rows())


@pytest.mark.parametrize(
    ("name", "content", "fact"),
    [
        ("absent.csv", None, "no such table"),
        ("s.txt", b"path\n", "expected a folder"),
        ("s.csv", b"path,decision\na,accept\n", "lacks the columns"),
        ("s.parquet", b"no parquet", "not a readable"),
        ("s.csv", b"\xff\xfe\x00", "not a readable|lacks the columns"),
        ("s.jsonl", b"[1]\n", "no JSON object"),
        ("s.jsonl", b"[" * 100_000, "recursion|Expecting value"),
    ],
)
def test_open_scores_refuses_what_is_no_table(
    tmp_path: Path, name: str, content: bytes | None, fact: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=fact):
        open_scores(tmp_path / name)
