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
from sihwa.errors import ConfigError, StorageError
from sihwa.inspector import Inspector, Outputs
from sihwa.scoring import ReadOptions, ScoreOptions, score_sources
from sihwa.scoring.table import table_folder
from tests.helpers import random_images, save_images
from tests.score_helpers import (
    FORMATS,
    RESUME,
    StubRuntime,
    assert_same,
    read,
    score,
    stub_inspector,
)
from tests.unit.images.forge import write_zip


def test_resume_missing_shards_are_scored_again(
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
        (out / "rows" / ".shard-00000007.parquet.0123.tmp").write_bytes(b"half a shard")
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


def test_resume_damaged_shard_leaves_those_before_it(parts: Path, tmp_path: Path) -> None:
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


def test_resume_foreign_file_among_shards_is_refused(parts: Path, tmp_path: Path) -> None:
    score(parts / "b", tmp_path / "scores")
    [shard] = (tmp_path / "scores" / "rows").iterdir()
    stray = shard.with_name("shard-00000000 (1).parquet")
    shutil.copy(shard, stray)
    with pytest.raises(StorageError, match=r"expected only files named like .*Move it"):
        score(parts / "b", tmp_path / "scores")
    stray.unlink()
    pq.write_table(pq.read_table(shard).drop(["page"]), shard)
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
