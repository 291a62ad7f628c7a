import math
from collections.abc import Mapping

import pytest

from sihwa.errors import ConfigError, DatasetError
from sihwa.qualification import lots
from sihwa.qualification.lots import Period, count_periods
from sihwa.scoring.path_pattern import PathPattern
from tests.unit.qualification.study_data import score_row

LOT = PathPattern("--lot", r"lot(\w+)/")


def row(path: str, decision: str = "accept", **cells: object) -> dict[str, object]:
    return score_row(path, decision, **cells)


def test_count_periods_by_lot_counts_and_orders_by_first_time() -> None:
    rows = [
        row("lotB/1.png", "reject", unknown=2.0, time="2026-01-02T05:00:00+00:00"),
        row("lotA/1.png", "review", unknown=None, time="2026-01-02T04:00:00+00:00"),
        row("lotB/2.png", "reject", unknown=3.0, time="2026-01-02T03:00:00+00:00"),
        row("lotA/2.png", unknown=0.5, time="2026-01-02T06:00:00+00:00"),
    ]
    first, second = count_periods(rows, "lot", LOT)
    assert (first.name, first.images, first.rejected, first.reviewed) == ("B", 2, 2, 0)
    assert (first.scored, first.unknown_sum, first.unknown_squares) == (2, 5.0, 13.0)
    assert sorted(first.most["rejected"]) == [(2.0, "lotB/1.png"), (3.0, "lotB/2.png")]
    assert (second.name, second.images, second.reviewed, second.scored) == ("A", 2, 1, 1)


def test_count_periods_by_hour_and_day_are_of_utc() -> None:
    rows = [
        row("1.png", time="2026-01-02T00:30:00+09:00"),
        row("2.png", time="2026-01-01T15:59:59.999+00:00"),
        row("3.png", time="2026-01-02T09:00:00+00:00"),
    ]
    assert [(one.name, one.images) for one in count_periods(rows, "hour", None)] == [
        ("2026-01-01 15:00", 2),
        ("2026-01-02 09:00", 1),
    ]
    assert [one.name for one in count_periods(rows, "day", None)] == ["2026-01-01", "2026-01-02"]


def test_period_keeps_the_five_images_of_the_highest_score() -> None:
    period = Period("lot", "2026")
    for number in range(50):
        period.count(row(f"{number}.png", unknown=math.sin(number)))
    highest = sorted(range(50), key=math.sin)[-5:]
    assert {path for _, path in period.most["unknown"]} == {f"{one}.png" for one in highest}


@pytest.mark.parametrize(
    ("cells", "kind", "reason"),
    [
        ({"thresholds": "other"}, "lot", "one inspector and its thresholds"),
        ({"inspector": "other"}, "lot", "one inspector and its thresholds"),
        ({"path": "1.png"}, "lot", "not found in 1.png"),
        ({"time": "yesterday"}, "hour", "expected a time"),
    ],
)
def test_count_periods_wrong_rows_are_refused(
    cells: Mapping[str, object], kind: str, reason: str
) -> None:
    rows = [row("lotA/1.png"), row(**{"path": "lotA/2.png", **cells})]  # type: ignore[arg-type]
    with pytest.raises(DatasetError, match=reason):
        count_periods(rows, kind, LOT)


@pytest.mark.parametrize(
    ("kind", "reason"), [("week", "--by must be one of"), ("lot", "--lot REGEX")]
)
def test_count_periods_wrong_kind_is_refused(kind: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        count_periods([], kind, None)


def test_count_periods_a_lot_per_image_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lots, "MOST_PERIODS", 20)
    rows = (row(f"lot{number}/1.png") for number in range(21))
    with pytest.raises(DatasetError, match="more than 20 periods"):
        count_periods(rows, "lot", LOT)
