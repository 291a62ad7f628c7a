import numpy as np
import pytest

from sihwa.errors import ConfigError, DatasetError
from sihwa.qualification.control_charts import BEYOND, SIDE, TREND
from sihwa.qualification.lots import Period
from sihwa.qualification.monitor import Watch, watch


def made(
    rejected: list[int], unknown: list[float] | None = None, images: int = 200
) -> list[Period]:
    periods = []
    for number, count in enumerate(rejected):
        period = Period(f"lot {number}", f"2026-01-01T{number:02d}")
        period.images, period.rejected = images, count
        period.most["rejected"] = [(1.0, f"{number}/a.png"), (2.0, f"{number}/b.png")]
        if unknown is not None:
            period.scored = images
            period.unknown_sum = images * unknown[number]
            period.unknown_squares = images * (unknown[number] ** 2 + 0.01)
            period.most["unknown"] = [(unknown[number], f"{number}/u.png")]
        periods.append(period)
    return periods


STEADY = [10, 12, 9, 11, 10, 8, 12, 10, 9, 11] * 2


def test_watch_steady_line_has_no_alarm() -> None:
    found = watch(made([*STEADY, 10, 12, 9]))
    assert found.baseline == 20
    assert found.alarms == []
    assert any("no chart of the unknown score" in line for line in found.notes)


def test_watch_alarm_names_chart_rule_period_and_images() -> None:
    found = watch(made([*STEADY, 10, 40, 41, 10]))
    (alarm,) = [one for one in found.alarms if one.rule == BEYOND]
    assert (alarm.chart, alarm.since, alarm.until, alarm.ongoing) == (
        "reject rate", "lot 21", "lot 22", False,
    )  # fmt: skip
    assert alarm.value == pytest.approx(41 / 200)
    assert alarm.images == ("22/b.png", "21/b.png", "22/a.png", "21/a.png")
    assert "beyond 3 sigma, lot 21 to lot 22: 20.5 %, limits" in alarm.line


def test_watch_runs_begin_where_their_pattern_begins() -> None:
    found = watch(made([*STEADY, *[11, 12] * 5]))
    (alarm,) = [one for one in found.alarms if one.rule == SIDE]
    assert (alarm.since, alarm.until, alarm.ongoing) == ("lot 19", "lot 29", True)
    rising = watch(made([*STEADY[:-1], 8, 9, 10, 11, 12, 13, 9]))
    (alarm,) = [one for one in rising.alarms if one.rule == TREND]
    assert (alarm.since, alarm.until) == ("lot 19", "lot 24")


def test_watch_drifting_unknown_score_is_an_alarm() -> None:
    rng = np.random.default_rng(0)
    unknown = [*rng.normal(1, 0.02, 20).tolist(), 1.0, 1.05, 1.1, 1.15, 1.2]
    found = watch(made([*STEADY, 10, 11, 9, 10, 11], unknown))
    (alarm,) = found.alarms
    assert (alarm.chart, alarm.rule, alarm.until) == ("unknown score", BEYOND, "lot 24")
    assert alarm.images[0] == "24/u.png"


def test_watch_run_that_begins_in_the_baseline_is_an_alarm() -> None:
    found = watch(made([9, 8, 10, 9, 8, 10, 9, 8, 10, 9, 8, *[12] * 9, 12]))
    (alarm,) = found.alarms
    assert (alarm.rule, alarm.since, alarm.until) == (SIDE, "lot 11", "lot 20")


def test_watch_last_drops_old_alarms() -> None:
    periods = made([*STEADY, 40, 10, 10, 11])
    assert len(watch(periods).alarms) == 1
    assert watch(periods, last=3).alarms == []
    assert len(watch(periods, last=4).alarms) == 1


def test_watch_alarm_of_the_baseline_itself_is_a_note() -> None:
    found = watch(made([*STEADY[:10], 30, *STEADY[11:], 10]))
    assert found.alarms == []
    assert any("breaks a rule itself, first in lot 10" in line for line in found.notes)


def test_watch_few_expected_rejects_are_noted() -> None:
    assert any("single one is an alarm" in line for line in watch(made([0] * 20 + [1])).notes)
    few = watch(made([1] * 21)).notes
    assert any("reject rate: 1.0 expected in a period of 200" in line for line in few)


@pytest.mark.parametrize(("periods", "error"), [(5, DatasetError), (0, DatasetError)])
def test_watch_too_few_periods_are_refused(periods: int, error: type[Exception]) -> None:
    with pytest.raises(error, match="at least 5 periods of a baseline"):
        watch(made([1] * periods))


@pytest.mark.parametrize("baseline", [4, 12, -1])
def test_watch_baseline_out_of_range_is_refused(baseline: int) -> None:
    with pytest.raises(ConfigError, match="--baseline must be from 5 to 11"):
        watch(made([5] * 12), baseline)


def test_watch_small_baseline_is_noted() -> None:
    found: Watch = watch(made([50, 51, 49, 50, 50, 50]))
    assert found.baseline == 5
    assert "fewer than the usual 20" in found.notes[0]
