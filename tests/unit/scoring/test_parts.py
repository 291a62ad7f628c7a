import csv
import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sihwa.errors import ConfigError, DatasetError
from sihwa.scoring import ScoreOptions
from sihwa.scoring.parts import PART_SCHEMA, PartRule, Parts, parts_path
from tests.helpers import random_images, save_images
from tests.score_helpers import FORMATS, read, score


def row(path: str, decision: str, **more: str) -> dict[str, str | None]:
    ids = {"inspector": "i", "thresholds": "t", "top_class": None, "path_bytes": None, "page": None}
    return {"path": path, "decision": decision, **ids, **more}


def read_parts(path: Path) -> dict[str, str]:
    if path.suffix == ".parquet":
        rows = pq.read_table(path).to_pylist()
    elif path.suffix == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    else:
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return {row["part"]: row["decision"] for row in rows}


def decided(rule: PartRule, *rows: dict[str, str | None]) -> dict[str, tuple[str, str]]:
    parts = Parts(rule)
    parts.add(rows)
    return {one["part"]: (one["decision"], one["reason"]) for one in parts.rows()}


def test_parts_are_rejected_before_they_are_reviewed() -> None:
    found = decided(
        PartRule.of(r"(p\d)_"),
        row("p1_a.png", "accept"),
        row("p2_a.png", "review"),
        row("p1_b.png", "accept"),
        row("p2_b.png", "reject"),
        row("p3_a.png", "review"),
        row("p3_b.png", "accept"),
    )
    assert found == {
        "p1": ("accept", "every image is accepted"),
        "p2": ("reject", "1 of 2 images are rejected"),
        "p3": ("review", "1 of 2 images need review"),
    }


def test_parts_with_a_missing_view_go_to_review() -> None:
    rule = PartRule.of(r"(?P<part>p\d)_(?P<view>\w)", views=2)
    found = decided(
        rule,
        row("p1_a.png", "accept"),
        row("p1_a2.png", "accept"),  # a retake of one view is no other view
        row("p2_a.png", "accept"),
        row("p2_b.png", "accept"),
        row("p3_a.png", "reject"),
    )
    assert found["p1"] == ("review", "1 of 2 views")
    assert [found["p2"][0], found["p3"][0]] == ["accept", "reject"]


def test_parts_image_that_names_no_part_is_one_by_itself() -> None:
    parts = Parts(PartRule.of(r"(p\d)_", views=2))
    parts.add([row("x.png", "accept"), row("y.png", "accept")])
    assert parts.alone == 2
    assert [(one["part"], one["decision"]) for one in parts.rows()] == [
        ("x.png", "review"),
        ("y.png", "review"),
    ]


@pytest.mark.parametrize("name", FORMATS)
def test_score_writes_one_row_per_part(tmp_path: Path, name: str) -> None:
    for part in range(3):
        save_images(tmp_path / "in", random_images(2, 20, 20, part), f"p{part}_")
    out = tmp_path / name
    options = ScoreOptions(part=r"p(\d)_", views=2)
    summary = score(tmp_path / "in", out, options)
    assert summary.parts
    assert summary.parts.decisions.total() == 3
    assert summary.parts.path == parts_path(out)
    table = read(out)
    for name_of_part, decision in read_parts(summary.parts.path).items():
        given = set(table.decision[table.path.str.contains(f"p{name_of_part}_")])
        assert decision == next(one for one in ("reject", "review", "accept") if one in given)


def test_score_takes_the_part_from_a_column_of_the_source(tmp_path: Path) -> None:
    files = save_images(tmp_path / "in", random_images(3, 20, 20))
    pairs = [(f"in/{file.name}", "AAB"[place]) for place, file in enumerate(files)]
    table = tmp_path / "list.csv"
    table.write_text("path,part\n" + "".join(f"{path},{part}\n" for path, part in pairs))
    summary = score(table, tmp_path / "out.parquet", ScoreOptions(part="column:part"))
    assert summary.parts
    parts = pq.read_table(summary.parts.path)
    assert dict(zip(*(parts[name].to_pylist() for name in ("part", "images")), strict=True)) == {
        "A": 2,
        "B": 1,
    }
    pq.write_table(pa.table({"path": [path for path, _ in pairs]}), tmp_path / "list.parquet")
    with pytest.raises(DatasetError, match="no column 'part'"):
        score(tmp_path / "list.parquet", tmp_path / "o", ScoreOptions(part="column:part"))


def test_part_pattern_joins_its_groups_and_leaves_out_the_view() -> None:
    rule = PartRule.of(r"(lot\d)/.*(p\d)(?:_(?P<view>\w))?[.]")
    assert rule.name({"path": "lot1\\x/p2_a.png"}) == ("lot1/p2", "a")
    assert rule.name({"path": "lot1/x/p2.png"}) == ("lot1/p2", None)
    assert PartRule.of(r"(\d*)x").name({"path": "x.png"}) == (None, None)  # an empty name is none


def test_score_never_replaces_the_parts_of_another_table(tmp_path: Path) -> None:
    save_images(tmp_path / "in", random_images(1, 20, 20))
    (tmp_path / "s.parts.csv").write_text("mine")
    with pytest.raises(ConfigError, match=r"s\.parts\.csv exists already"):
        score(tmp_path / "in", tmp_path / "s.csv", ScoreOptions(part=r"(\d)"))
    assert (tmp_path / "s.parts.csv").read_text() == "mine"


def test_row_contract_document_names_the_columns_of_parts() -> None:
    text = (Path(__file__).parents[3] / "docs" / "row-contract.md").read_text("utf-8")
    table = text.partition("## Parts")[2].partition("\n## ")[0]
    named = re.findall(r"^\| (\w[\w, ]*) \|", table, re.MULTILINE)[1:]
    assert [one for cell in named for one in cell.split(", ")] == PART_SCHEMA.names


@pytest.mark.parametrize(
    ("setting", "views", "fact"),
    [
        ("p(", None, "expected a regular expression"),
        ("(p)", 0, "--views"),
        ("column:part", None, "among the sources"),
    ],
)
def test_part_settings_that_make_no_sense_are_refused(
    setting: str, views: int | None, fact: str
) -> None:
    with pytest.raises(ConfigError, match=fact):
        PartRule.for_sources(setting, views, ["parts"])
