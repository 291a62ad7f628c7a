from pathlib import Path

import pytest

from sihwa.decision import ACCEPT, REJECT, REVIEW
from sihwa.errors import ConfigError, DatasetError
from sihwa.qualification.study_inspector import add_inspector
from sihwa.qualification.study_table import Rating, Ratings, read_study
from sihwa.scoring.path_pattern import PathPattern
from tests.unit.qualification.study_data import GOLDEN, score_row, write_study


def test_read_study_long_and_wide_give_the_same(tmp_path: Path) -> None:
    wide = read_study(GOLDEN, {}, ["No"])
    rows = [(*rating, wide.reference[rating.part]) for rating in wide.ratings]
    head = "part,appraiser,trial,decision,reference"
    long = read_study(write_study(tmp_path / "long.csv", rows, head), {})
    assert sorted(long.ratings) == sorted(wide.ratings)
    assert long.reference == wide.reference
    assert len(wide.ratings) == 15 * 9
    assert wide.notes == ["taken for bad: Yes"]


def test_read_study_headings_and_words_of_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "판정.csv"
    head = "부품;검사자;판정;reference\n"
    rows = "1;김;양품;불량\n1;이;REVIEW;불량\n2;김;불량;양품\n2;이;ok;양품\n"
    path.write_text(head + rows, "cp949")
    names = {"part": "부품", "appraiser": "검사자", "decision": "판정"}
    study = read_study(path, names)
    assert study.ratings[:2] == [Rating("1", "김", "1", ACCEPT), Rating("1", "이", "1", REVIEW)]
    assert study.reference == {"1": REJECT, "2": ACCEPT}
    assert "cp949" in study.notes[0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("part,appraiser,decision\n1,A,good\n", "missing reference"),
        ("", "has no row"),
        ("part,reference,appraiser,decision\n", "has no row"),
        ("part,reference,decision\n1,good,good\n", "no column appraiser"),
        ("part,reference,appraiser,decision\n1,good,A,maybe\n", "line 2.*'maybe'.*--accept"),
        ("part,reference,appraiser,decision\n1,good,A,\n", "line 2: decision is empty"),
        ("part,reference,appraiser,decision\n1,good,A,ok\n1,bad,B,ok\n", "more than one reference"),
        ("part,reference,appraiser,decision\n1,review,A,ok\n", "review as one"),
        ("part,reference,appraiser,decision\n1,good,A,ok\n1,good,A,ok\n", "twice in trial 1"),
    ],
)
def test_read_study_wrong_table_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "study.csv"
    path.write_text(text)
    with pytest.raises(DatasetError, match=reason):
        read_study(path, {})


def test_read_study_unknown_heading_is_refused() -> None:
    with pytest.raises(ConfigError, match="--column part=Teil"):
        read_study(GOLDEN, {"part": "Teil"})


def reference_only() -> Ratings:
    return Ratings([], {"1": ACCEPT, "2": REJECT})


def test_add_inspector_worst_image_of_a_part_decides() -> None:
    rows = [
        score_row("t1/part1_a.png", "accept"),
        score_row("t1/part1_b.png", "review"),
        score_row("t1/part2_a.png", "reject"),
        score_row("t1/part2_b.png", "review"),
        score_row("t2/part1_a.png", "accept"),
        score_row("t1/part9_a.png", "accept"),
    ]
    patterns = PathPattern("--part", r"part(\d)"), PathPattern("--trial", r"^t(\d)")
    found = add_inspector(reference_only(), rows, *patterns, Path("s"))
    name = "inspector a1b2"
    assert found.ratings == [
        Rating("1", name, "1", REVIEW),
        Rating("2", name, "1", REJECT),
        Rating("1", name, "2", ACCEPT),
    ]
    assert "left out 1 image of parts" in found.notes[0]


@pytest.mark.parametrize(
    ("cells", "pattern", "reason"),
    [
        ({}, r"x(\d)", "not found in part1.png"),
        ({}, "p", "shows a part of the study"),
        ({"inspector": "other"}, r"part(\d)", "rows of one inspector"),
    ],
)
def test_add_inspector_wrong_rows_are_refused(
    cells: dict[str, str], pattern: str, reason: str
) -> None:
    rows = [score_row("part1.png", "accept"), score_row("part2.png", "accept", **cells)]
    with pytest.raises(DatasetError, match=reason):
        add_inspector(reference_only(), rows, PathPattern("--part", pattern), None, Path("s"))


def test_path_pattern_broken_is_refused() -> None:
    with pytest.raises(ConfigError, match="--part: expected a regular expression"):
        PathPattern("--part", "(")
