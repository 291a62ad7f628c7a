import csv
import json
import os
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sihwa.errors import ConfigError, DatasetError, StorageError
from sihwa.images import available_cores, read_image
from sihwa.scoring import LocalEngine, ReadOptions, ScoreOptions, row_schema, score_sources
from sihwa.scoring.table import table_folder
from tests.helpers import CLASSES, random_images, save_images
from tests.score_helpers import (
    FORMATS,
    MEASURED,
    RESUME,
    assert_same,
    files_of,
    read,
    score,
    stub_inspector,
)


@pytest.mark.parametrize("name", FORMATS)
def test_score_sources_every_file_has_its_row_in_order(
    parts: Path, tmp_path: Path, name: str
) -> None:
    summary = score(parts, tmp_path / name)
    table = read(tmp_path / name)
    files = sorted(
        {path for path in map(str, parts.rglob("*")) if path.endswith((".png", ".jpg", ".tif"))},
        key=os.fsencode,
    )
    assert list(dict.fromkeys(files_of(table))) == files
    assert len(table) == len(files) + 2 == summary.images == summary.new_images
    assert list(table.columns) == [n for n in row_schema(CLASSES).names if n not in MEASURED]
    assert summary.decisions == table.decision.value_counts().to_dict()
    assert sum(summary.errors.values()) == table.error.notna().sum()
    assert summary.left_out == {"other": 1}
    written = json.loads((table_folder(tmp_path / name) / "summary.json").read_bytes())
    assert written["state"] == "complete"
    assert written["classes"] == table.top_class.value_counts().to_dict()
    assert written["review_rate"] == pytest.approx((table.decision == "review").mean(), abs=1e-6)
    assert (written["errors"]["empty file"], written["errors"]["not a regular file"]) == (1, 1)
    card = stub_inspector().card
    settings = {"inspector": card.id, "thresholds": card.thresholds_id}
    assert written["settings"].items() >= settings.items()


def test_score_sources_any_format_workers_and_batch_size_give_one_table(
    parts: Path, tmp_path: Path
) -> None:
    first = None
    for name in FORMATS:
        for workers, batch_size in ((1, 1), (3, 2), (8, 64)):
            out = tmp_path / f"{workers} {name}"
            score(parts, out, ScoreOptions(workers=workers, batch_size=batch_size))
            first = read(out) if first is None else first
            assert_same(read(out), first)


def test_score_sources_time_beyond_64_bits_is_bounded(tmp_path: Path) -> None:
    [image] = save_images(tmp_path / "in", random_images(1, 20, 20))
    os.utime(image, ns=(2**63 + 5, 2**63 + 5))
    if image.stat().st_mtime_ns < 2**63:
        pytest.skip("this file system holds no such time")
    score(tmp_path / "in", tmp_path / "scores.csv")
    assert int(read(tmp_path / "scores.csv").modified_ns[0]) == 2**63 - 1
    assert score(tmp_path / "in", tmp_path / "scores.csv").new_images == 0


def test_score_sources_file_named_twice_has_one_row(parts: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    words = [parts, parts / "001.png", parts / "b"]
    summary = score_sources(stub_inspector(), list(map(str, words)), out, RESUME)
    assert summary.listed_twice == 10
    assert len(read(out)) == summary.images
    assert not read(out).path.duplicated().any()


def test_score_sources_no_image_at_all_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").touch()
    with pytest.raises(DatasetError, match=r"in: no image found \(1 other files\)"):
        score(tmp_path / "in", tmp_path / "scores.csv")
    with pytest.raises(DatasetError, match="not found"):
        score(tmp_path / "nowhere", tmp_path / "scores.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_score_sources_source_without_images_is_reported(parts: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    words = [str(parts), f"{tmp_path}/nosuch*", str(tmp_path / "empty")]
    summary = score_sources(stub_inspector(), words, tmp_path / "s.csv")
    assert summary.empty == words[1:]
    written = json.loads((tmp_path / "s.csv.shards" / "summary.json").read_bytes())
    assert written["this_run"]["empty_sources"] == words[1:]


def test_score_sources_evidence_is_drawn_for_the_chosen_decisions(
    parts: Path, tmp_path: Path
) -> None:
    options = ScoreOptions(evidence=("reject",))
    score(parts, tmp_path / "scores", options)
    table = read(tmp_path / "scores")
    rejected = table[table.decision == "reject"]
    assert 0 < len(rejected) < table.error.isna().sum()
    drawn = list((tmp_path / "scores" / "evidence").rglob("*"))
    assert {path.parent.name for path in drawn if path.is_file()} == {"reject"}
    assert len(drawn) == len(rejected) + 1
    shapes = sorted(read_image(str(path)).shape for path in drawn if path.is_file())
    assert shapes == sorted((row.height, row.width, 3) for row in rejected.itertuples())


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a place that takes no file")
def test_score_sources_unwritable_place_is_refused(parts: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot write /proc/scores\.csv: "):
        score(parts, Path("/proc/scores.csv"))


def test_score_sources_table_below_its_source_is_written(parts: Path) -> None:
    whole = score(parts, parts / "scores").images
    assert score(parts, parts / "scores").images == whole
    assert score(parts, parts / "scores.csv").images == whole


@pytest.mark.parametrize(
    "name", [".parquet", "scores.xlsx", "scores.json", ".csv", "in/.JSONL", ".zip", "", "."]
)
def test_score_sources_name_of_no_table_is_refused(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(ConfigError, match=r"ends in .csv, .jsonl, .parquet, or the"):
        score(parts, Path(name))
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("workers", -1, r"--workers must be in \[0, 1024\], got -1"),
        ("batch_size", 0, r"--batch-size must be in \[1, 4096\], got 0"),
        ("batch_size", 2**63 - 1, "--batch-size must be in"),
        ("evidence", ("rejected",), "--evidence must be all, accept, reject, review; got rejected"),
        ("max_pixels", 0, "--max-pixels must be in .*, got 0"),
        ("pages", "first", "--pages must be one of rows, error; got 'first'"),
    ],
)
def test_score_options_out_of_range_are_refused(name: str, value: object, match: str) -> None:
    make = ReadOptions if name in ("max_pixels", "pages") else ScoreOptions
    with pytest.raises(ConfigError, match=match):
        make(**{name: value})  # type: ignore[arg-type]


def test_score_sources_shards_have_the_schema_of_the_contract(parts: Path, tmp_path: Path) -> None:
    score(parts, tmp_path / "scores")
    [shard] = (tmp_path / "scores" / "rows").iterdir()
    assert shard.name == "shard-00000000.parquet"
    assert pq.read_schema(shard).equals(row_schema(CLASSES))


HOSTILE = ("=1+1.png", "=cmd|' C'!A0.png", "+1.png", "-2.png", "@SUM(1).png", "\t=1.png", "＝1.png")


@pytest.mark.parametrize("source", ["*.png", "list.txt", "=folder"])
@pytest.mark.parametrize("name", FORMATS)
def test_score_sources_no_name_becomes_a_formula(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, source: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, tmp_path / "=folder"):
        [image] = save_images(folder, random_images(1, 10, 10))
        for hostile in HOSTILE:
            shutil.copy(image, folder / hostile)
    Path("list.txt").write_text("".join(f"{hostile}\n" for hostile in (*HOSTILE, "000.png")))
    out = Path(name)
    assert score(source, out).images == len(HOSTILE) + 1
    assert all(Path(file).is_file() for file in files_of(read(out)))
    assert score(source, out).new_images == 0
    if out.suffix == ".csv":
        with out.open(encoding="utf-8-sig", newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert [cell for cell in cells if cell.startswith(tuple("=+-@\t\r＝＋－＠"))] == []


def test_local_engine_takes_one_thread_more_than_cores() -> None:
    for workers, expected in ((0, available_cores() + 1), (1, 1)):
        assert LocalEngine(stub_inspector(), ScoreOptions(workers=workers)).workers == expected
