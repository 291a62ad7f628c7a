"""Runs side by side: settings, figures, seeds, and which is better."""

import csv
import io
from pathlib import Path
from statistics import stdev

import pytest
from rich.console import Console
from scipy import stats

from sihwa.errors import ConfigError
from sihwa.qualification.compare_runs import as_csv, compare_runs
from sihwa.qualification.comparison_text import comparison_lines, runs_table
from tests.unit.qualification.made_run import made_run


def test_compare_runs_only_settings_of_all_runs_that_differ(tmp_path: Path) -> None:
    one = made_run(tmp_path / "1", training={"name": "probe", "l2": 1.0}, dataset={"name": "a"})
    other = made_run(tmp_path / "2", training={"name": "stages"}, dataset={"name": "a"})
    assert compare_runs([one, other]).differing == ["training.name"]


def test_compare_runs_same_test_images_tell_which_is_better(tmp_path: Path) -> None:
    worse, better = made_run(tmp_path / "1", missed=12), made_run(tmp_path / "2", missed=1)
    [pair] = compare_runs([worse, better]).pairs
    assert (pair.run, pair.other) == (1, 0)
    escapes, overkill, _ = pair.verdicts
    assert escapes.verdict.startswith("better")
    assert escapes.test.p_value == pytest.approx(stats.binomtest(0, 11).pvalue)
    assert overkill.verdict == "the same on 20 images"


def test_compare_runs_images_of_a_part_count_once(tmp_path: Path) -> None:
    runs = [made_run(tmp_path / str(n), missed=n, part=10) for n in (12, 1)]
    [pair] = compare_runs(runs).pairs
    assert pair.verdicts[0].verdict == "cannot be told with 20 images of 4 parts (p = 0.25)"


def test_compare_runs_other_test_images_are_not_compared(tmp_path: Path) -> None:
    runs = [made_run(tmp_path / "1"), made_run(tmp_path / "2", test=1)]
    compared = compare_runs(runs)
    assert compared.pairs == []
    assert "no two runs have the same test images" in list(comparison_lines(compared))[-1]


def test_compare_runs_seeds_alone_give_mean_and_deviation(tmp_path: Path) -> None:
    runs = [made_run(tmp_path / str(n), missed=n, seed=n) for n in (0, 1, 5)]
    [spread] = compare_runs([*runs, made_run(tmp_path / "x", model="other")]).spreads
    assert spread.runs == [0, 1, 2]
    assert spread.figures["escapes"] == pytest.approx((0.1, stdev((0, 0.05, 0.25))))


def test_compare_runs_text_fits_a_terminal(tmp_path: Path) -> None:
    runs = [
        made_run(tmp_path / str(n), training={"rate": n, "name": "[/]"}, seed=n) for n in (1, 2)
    ]
    stream = io.StringIO()
    Console(file=stream, width=80).print(runs_table(compare_runs(runs)))
    assert max(map(len, stream.getvalue().splitlines())) <= 80
    assert "100.00 %" in stream.getvalue()
    assert "Review" in stream.getvalue()


def test_as_csv_reads_back_and_runs_no_formula(tmp_path: Path) -> None:
    runs = [made_run(tmp_path / str(n), missed=2, dataset={"name": n}) for n in ("=1+1", "부품")]
    text = as_csv(compare_runs(runs)).decode("utf-8-sig")
    first, second = csv.DictReader(io.StringIO(text))
    assert (first["dataset.name"], second["dataset.name"]) == ("'=1+1", "부품")
    assert float(second["escapes"]) == pytest.approx(0.1)
    assert second["escapes_images"] == "20"


def test_compare_runs_single_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least two runs"):
        compare_runs([made_run(tmp_path / "1")])
