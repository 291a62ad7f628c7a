import csv
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image

import sihwa.scoring.shards
from sihwa.errors import ConfigError, DatasetError, StorageError
from sihwa.images import available_cores, read_image
from sihwa.inspector import Inspector, Outputs
from sihwa.scoring import (
    LocalEngine,
    ReadOptions,
    ScoreOptions,
    ScoreSummary,
    row_schema,
    score_sources,
)
from sihwa.scoring.table import open_table, table_folder
from tests.helpers import CLASSES, random_images, save_images
from tests.score_helpers import (
    MEASURED,
    StubRuntime,
    assert_same,
    files_of,
    read,
    stub_inspector,
)
from tests.unit.images.forge import write_zip

FORMATS = ["scores.csv", "scores.jsonl", "scores.parquet", "scores"]
RESUME = ScoreOptions(resume=True, batch_size=2, workers=2)


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Images of two sizes, and one of every kind of trouble that ends in a row."""
    folder = tmp_path / "부품 (1조)"
    save_images(folder, random_images(9, 30, 40))
    save_images(folder / "b", random_images(9, 20, 20, seed=1))
    pages = [Image.fromarray(page) for page in random_images(3, 16, 18)]
    pages[0].save(folder / "a.tif", save_all=True, append_images=pages[1:])
    (folder / "빈 파일.jpg").touch()
    (folder / 'with "quotes", commas\nand lines.png').write_bytes(b"no image")
    (folder / "notes.txt").touch()
    if os.name != "nt":
        Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.png")).write_bytes(b"no image")
        os.mkfifo(folder / "pipe.png")
    return folder


def score(parts: object, out: Path, options: ScoreOptions = RESUME) -> ScoreSummary:
    return score_sources(stub_inspector(), str(parts), out, options)


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
    assert sum(summary.classes.values()) == table.error.isna().sum()
    assert summary.left_out == {"other": 1}


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


def test_resume_folder_with_parts_missing_becomes_the_whole_table(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sihwa.scoring.shards, "_ROWS", 4)
    out = tmp_path / "scores"
    score(parts, out)
    whole = read(out)
    files = sorted((out / "rows").glob("*"))
    assert len(files) > 4
    for count in range(len(files) + 1):
        for file in files[count:]:
            file.unlink(missing_ok=True)
        (out / "rows" / ".shard-00000007.parquet.0123.tmp").write_bytes(b"half a part")
        score(parts, out)
        assert_same(read(out), whole)
        assert not list((out / "rows").glob(".*"))
        files = sorted((out / "rows").glob("*"))


@pytest.mark.parametrize("name", FORMATS)
def test_resume_changed_files_are_scored_again_and_touched_ones_not(
    parts: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / name
    score(parts, out)
    before = read(out)
    shutil.copyfile(parts / "001.png", parts / "002.png")  # changed
    os.utime(parts / "003.png", ns=(1, 1))  # the same content at another time
    (parts / "004.png").unlink()  # gone
    save_images(parts, random_images(1, 10, 10), prefix="aa")  # new
    [page] = random_images(1, 16, 18, seed=9)
    Image.fromarray(page).save(parts / "a.tif")  # three pages became one image
    summary = score(parts, out)
    after = read(out)
    assert (summary.changed, summary.gone, summary.new_images) == (2, 1, 3)
    assert summary.images == len(after) == len(before) - 2 + 1
    assert len(set(zip(after.path, after.page, strict=True))) == len(after)
    by_path = after.set_index("path")
    assert by_path.sha256[str(parts / "001.png")] == by_path.sha256[str(parts / "002.png")]
    assert str(parts / "004.png") in by_path.index
    assert by_path.page[str(parts / "a.tif")] is None
    assert [Path(path).name for path in after.path[-3:]] == ["002.png", "a.tif", "aa000.png"]
    assert score(parts, out).new_images == 0


@pytest.mark.parametrize("name", FORMATS)
def test_resume_changed_file_that_is_not_named_keeps_its_row(tmp_path: Path, name: str) -> None:
    save_images(tmp_path / "d", random_images(2, 20, 20))
    [other] = save_images(tmp_path / "e", random_images(1, 20, 20, seed=1))
    words, out = [str(tmp_path / "d"), str(tmp_path / "e")], tmp_path / name
    score_sources(stub_inspector(), words, out, RESUME)
    before = read(out)
    shutil.copy(tmp_path / "d" / "001.png", other)
    summary = score(words[0], out)
    assert (summary.images, summary.changed, summary.new_images, summary.gone) == (3, 0, 0, 1)
    assert_same(read(out), before)
    summary = score_sources(stub_inspector(), words, out, RESUME)
    assert (summary.images, summary.changed, summary.new_images, summary.gone) == (3, 1, 1, 0)


@pytest.mark.parametrize("source", ["a.zip", "list.txt"])
def test_resume_member_that_left_its_archive_keeps_its_row(tmp_path: Path, source: str) -> None:
    content = {
        Path(p).name: Path(p).read_bytes() for p in save_images(tmp_path, random_images(3, 9, 9))
    }
    archive = write_zip(tmp_path / "a.zip", content)
    (tmp_path / "list.txt").write_text("".join(f"a.zip!/{name}\n" for name in content))
    out = tmp_path / "scores.csv"
    score(tmp_path / source, out)
    before = read(out)
    del content["001.png"]
    write_zip(tmp_path / "a.zip", content)
    os.utime(archive, ns=(1, 1))
    summary = score(tmp_path / source, out)
    assert (summary.images, summary.changed, summary.new_images) == (3, 0, 0)
    assert summary.gone == (source == "a.zip")  # a list names it still
    assert_same(read(out), before)


def test_resume_folder_that_could_not_be_listed_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_images(tmp_path / "in" / "shut", random_images(2, 20, 20))
    scandir = os.scandir

    def refuse(path: str) -> object:
        if os.fspath(path).endswith("shut"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    out = tmp_path / "scores.csv"
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refuse)
        assert score(tmp_path / "in", out).errors == {"cannot be listed": 1}
    summary = score(tmp_path / "in", out)
    assert (summary.images, summary.changed, summary.errors) == (2, 1, {})


def test_resume_file_that_could_not_be_read_is_tried_again(parts: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    (parts / "later.png").symlink_to(tmp_path / "later.png")
    score(parts, out)
    assert read(out).set_index("path").error[str(parts / "later.png")].startswith("No such file")
    save_images(tmp_path, random_images(1, 20, 20))
    (tmp_path / "000.png").rename(tmp_path / "later.png")
    summary = score(parts, out)
    assert read(out).set_index("path").error[str(parts / "later.png")] is None
    assert summary.new_images == 1


@pytest.mark.parametrize("name", FORMATS)
def test_score_sources_table_that_is_there_is_never_overwritten(
    parts: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / name
    score(parts, out)
    before = read(out)
    with pytest.raises(ConfigError, match=r"exists already\. Add --resume"):
        score(parts, out, ScoreOptions())
    pd.testing.assert_frame_equal(read(out), before)


@pytest.mark.parametrize("name", ["mine.csv", "mine.jsonl"])
def test_resume_file_of_someone_else_is_left_alone(parts: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("my own notes\n")
    with pytest.raises(ConfigError, match=r"cannot resume without"):
        score(parts, tmp_path / name)
    assert (tmp_path / name).read_text() == "my own notes\n"


def test_resume_damaged_later_part_leaves_the_parts_before_it(parts: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores"
    score(parts / "001.png", out)
    score(parts / "b", out)
    first, second = sorted((out / "rows").iterdir())
    before = first.read_bytes()
    shutil.copy(parts / "002.png", parts / "001.png")
    content = bytearray(second.read_bytes())
    for damaged in (b"garbage", bytes(content[:-10])):
        second.write_bytes(damaged)
        with pytest.raises(
            StorageError, match=r"shard-00000001\.parquet: not a shard .*Remove it and resume"
        ):
            score(parts, out)
        assert first.read_bytes() == before


def test_resume_part_that_is_none_of_the_table_is_refused_in_one_line(
    parts: Path, tmp_path: Path
) -> None:
    score(parts / "b", tmp_path / "scores")
    [part] = (tmp_path / "scores" / "rows").iterdir()
    stray = part.with_name("shard-00000000 (1).parquet")
    shutil.copy(part, stray)
    with pytest.raises(StorageError, match=r"expected only files named like .*Move it"):
        score(parts / "b", tmp_path / "scores")
    stray.unlink()
    pq.write_table(pq.read_table(part).drop(["page"]), part)
    with pytest.raises(StorageError, match="its columns differ"):
        score(parts / "b", tmp_path / "scores")


def other_runtime() -> Inspector:
    inspector = stub_inspector()
    inspector.runtime = StubRuntime()
    inspector.runtime.choice = type(StubRuntime.choice)("stub", "cpu", "bf16")
    return inspector


@pytest.mark.parametrize(
    ("make", "read_options", "match"),
    [
        pytest.param(lambda: stub_inspector(metrics={"accuracy": 1.0}), {}, "INSPECTOR", id="id"),
        pytest.param(
            other_runtime,
            {},
            "in bf16.*--runtime, --device or .*auto depends on --batch-size",
            id="bf16",
        ),
        pytest.param(stub_inspector, {"max_pixels": 5}, "--max-pixels", id="pixels"),
        pytest.param(stub_inspector, {"pages": "error"}, "--pages", id="pages"),
    ],
)
def test_resume_other_settings_are_refused_in_one_line(
    parts: Path,
    tmp_path: Path,
    make: Callable[[], Inspector],
    read_options: dict[str, Any],
    match: str,
) -> None:
    out = tmp_path / "scores.csv"
    score(parts, out)
    before = out.read_bytes()
    options = ScoreOptions(read=ReadOptions(**read_options), resume=True)
    with pytest.raises(ConfigError, match=f"scores.csv was begun with .*{match}") as caught:
        score_sources(make(), parts, out, options)
    assert "\n" not in str(caught.value)
    assert out.read_bytes() == before


@pytest.mark.parametrize("name", FORMATS)
def test_score_sources_second_process_on_one_output_is_told(
    parts: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / name
    inspector = stub_inspector()
    with (
        open_table(out, inspector.card, inspector.runtime.choice, ReadOptions()),
        pytest.raises(StorageError, match="another process is writing there"),
    ):
        score(parts, out)
    score(parts, out)


def test_score_sources_time_of_change_beyond_64_bits_is_the_last_one(tmp_path: Path) -> None:
    [image] = save_images(tmp_path / "in", random_images(1, 20, 20))
    os.utime(image, ns=(2**63 + 5, 2**63 + 5))
    if image.stat().st_mtime_ns < 2**63:
        pytest.skip("this file system holds no such time")
    score(tmp_path / "in", tmp_path / "scores.csv")
    assert int(read(tmp_path / "scores.csv").modified_ns[0]) == 2**63 - 1
    assert score(tmp_path / "in", tmp_path / "scores.csv").new_images == 0


class StoppingRuntime(StubRuntime):
    """Tells the run to stop after some inferences."""

    def __init__(self, stop: Event, after: int) -> None:
        super().__init__()
        self.stop, self.after = stop, after

    def run(self, image: NDArray[np.uint8]) -> Outputs:
        if len(self.batches) >= self.after:
            self.stop.set()
        return super().run(image)


@pytest.mark.parametrize("name", FORMATS)
def test_score_sources_stopped_anywhere_and_resumed_is_the_whole_table(
    parts: Path, tmp_path: Path, name: str
) -> None:
    score(parts, tmp_path / f"whole-{name}")
    whole = read(tmp_path / f"whole-{name}")
    for after in (0, 1, 2, 4):
        out, stop = tmp_path / f"{after}-{name}", Event()
        inspector = stub_inspector()
        inspector.runtime = StoppingRuntime(stop, after)
        summary = score_sources(inspector, parts, out, RESUME, stop)
        table = read(out)
        state = json.loads((table_folder(out) / "summary.json").read_bytes())["state"]
        assert state == "stopped"
        assert summary.stopped
        assert 0 < len(table) < len(whole) + (after > 1)
        assert_same(table, whole.head(len(table)))
        score(parts, out)
        assert_same(read(out), whole)


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


def test_score_sources_source_without_a_image_is_told_beside_others(
    parts: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    words = [str(parts), f"{tmp_path}/nosuch*", str(tmp_path / "empty")]
    summary = score_sources(stub_inspector(), words, tmp_path / "s.csv")
    assert summary.empty == words[1:]
    written = json.loads((tmp_path / "s.csv.shards" / "summary.json").read_bytes())
    assert written["this_run"]["empty_sources"] == words[1:]


def test_score_sources_summary_says_what_the_table_holds(parts: Path, tmp_path: Path) -> None:
    score(parts, tmp_path / "scores.csv")
    summary = json.loads((tmp_path / "scores.csv.shards" / "summary.json").read_bytes())
    table = read(tmp_path / "scores.csv")
    assert summary["state"] == "complete"
    assert summary["images"] == len(table)
    assert summary["decisions"] == table.decision.value_counts().to_dict()
    assert summary["classes"] == table.top_class.value_counts().to_dict()
    assert summary["review_rate"] == pytest.approx((table.decision == "review").mean(), abs=1e-6)
    assert summary["errors"]["empty file"] == 1
    assert summary["errors"]["not a regular file"] == 1
    assert summary["this_run"]["images"] == len(table)
    card = stub_inspector().card
    settings = {"inspector": card.id, "thresholds": card.thresholds_id}
    assert summary["settings"].items() >= settings.items()


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
def test_score_sources_place_that_takes_no_file_is_told_as_such(parts: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot write /proc/scores\.csv: "):
        score(parts, Path("/proc/scores.csv"))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such links")
def test_score_sources_link_that_leads_to_itself_has_its_row(tmp_path: Path) -> None:
    (tmp_path / "loop.png").symlink_to("loop.png")
    options = ScoreOptions(evidence=("all",))
    assert score(tmp_path / "loop.png", tmp_path / "scores.csv", options).decisions == {"review": 1}


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
        ("workers", -1, "--workers must be 0 to 1024, got -1"),
        ("workers", 10**20, "--workers must be 0 to 1024"),
        ("batch_size", 0, "--batch-size must be 1 to 4096, got 0"),
        ("batch_size", 2**63 - 1, "--batch-size must be 1 to"),
        ("evidence", ("rejected",), "--evidence must be all, accept, reject, review; got rejected"),
        ("max_pixels", 0, "--max-pixels must be at least 1, got 0"),
        ("pages", "first", "--pages must be rows or error, got 'first'"),
    ],
)
def test_score_options_out_of_range_are_refused(name: str, value: object, match: str) -> None:
    make = ReadOptions if name in ("max_pixels", "pages") else ScoreOptions
    with pytest.raises(ConfigError, match=match):
        make(**{name: value})  # type: ignore[arg-type]


def test_score_sources_parts_have_the_schema_of_the_contract(parts: Path, tmp_path: Path) -> None:
    score(parts, tmp_path / "scores")
    [part] = (tmp_path / "scores" / "rows").iterdir()
    assert part.name == "shard-00000000.parquet"
    assert pq.read_schema(part).equals(row_schema(CLASSES))


HOSTILE = ("=1+1.png", "=cmd|' C'!A0.png", "+1.png", "-2.png", "@SUM(1).png", "\t=1.png", "＝1.png")


@pytest.mark.parametrize("source", ["*.png", "list.txt", "=folder"])
@pytest.mark.parametrize("name", FORMATS)
def test_score_sources_no_name_becomes_a_formula_and_each_still_names_its_file(
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
