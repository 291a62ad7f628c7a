"""The command `sihwa audit` on a folder with planted faults."""

import csv
import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sihwa.commands.cli import audit, run_alone
from sihwa.errors import ConfigError, DatasetError, StorageError
from sihwa.run import RunResult
from sihwa.run.compose import compose_config
from sihwa.run.folds import cross_validate
from tests.helpers import random_images, save_images
from tests.integration.conftest import TINY, make_parts, settings, start, train

NETWORK = [one for one in TINY if one.startswith("model.")]


def run_audit(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """Run the command and return its exit code."""
    monkeypatch.setattr("sys.argv", ["audit", *map(str, words)])
    try:
        run_alone(audit)
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    root = make_parts(tmp_path / "부품")
    first = next(iter(sorted((root / "양품").iterdir())))
    shutil.copy(first, root / "긁힘" / "line 1" / "copy.png")
    (root / "양품" / "broken.png").write_bytes(b"no image")
    return root


def test_audit_tells_what_a_run_would_refuse(
    faulty: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, clean = tmp_path / "out", tmp_path / "clean.csv"
    words = [faulty, *NETWORK, "dataset.accept_classes=[양품]", "-o", out]
    assert run_audit(monkeypatch, *words, "--write-manifest", clean, "--strict") == 1
    lines = capsys.readouterr().out.splitlines()
    told = lines.index("not in it, because unreadable: 1 image")
    assert "broken.png" in lines[told + 1]
    assert lines[0].startswith("severe: identical images, two labels: 2 images in 1 set")
    rows = pq.read_table(out / "audit.parquet").to_pylist()
    assert {"identical images, two labels", "unreadable images"} <= {row["kind"] for row in rows}
    assert "data:image/jpeg" in (out / "audit.html").read_text(encoding="utf-8")
    with clean.open(encoding="utf-8") as file:
        assert sum(row["audit_exclude"] == "yes" for row in csv.DictReader(file)) == 2
    with pytest.raises(StorageError, match="exists; name another place"):
        run_audit(monkeypatch, *words)


def test_audit_of_a_run_reads_its_manifest_and_settings(
    run: RunResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_audit(monkeypatch, run.folder, "-o", tmp_path / "out") == 0
    assert "note: little can be proven" in capsys.readouterr().out.replace("warning", "note")
    with pytest.raises(ConfigError, match="a run keeps its own settings"):
        run_audit(monkeypatch, run.folder, "seed=3", "-o", tmp_path / "again")


def test_audit_diff_compares_a_run_with_a_folder_by_content(
    run: RunResult,
    parts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    moved = Path(shutil.copytree(parts, tmp_path / "moved"))
    run_audit(monkeypatch, "--diff", run.folder, moved)
    assert "no difference" in capsys.readouterr().out
    images = sorted((moved / "양품").iterdir())
    images[0].rename(moved / "긁힘" / images[0].name)
    images[1].unlink()
    save_images(moved / "양품", random_images(1, 9, 9), prefix="new")
    run_audit(monkeypatch, "--diff", run.folder, moved)
    text = capsys.readouterr().out
    assert [line for line in text.splitlines() if re.search(r": \d+ images?$", line)] == [
        "came: 1 image", "went: 1 image", "changed label: 1 image", "changed split: 0 images"
    ]  # fmt: skip
    assert "양품 -> 긁힘" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["missing/"], "found nothing at 'missing/'"),
        (["a", "b"], "expected one source, got a, b"),
        ([".", "--write-manifest", "clean.parquet"], "must name a .csv file"),
        (["--diff", "a"], "--diff takes two sources"),
        (["--diff", ".", "cache_dir=x"], "cache_dir=x is a setting"),
        ([".", "dataset.rooot=x"], "rooot"),
    ],
)
def test_audit_wrong_words_are_refused(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=message):
        run_audit(monkeypatch, *words)


@pytest.fixture(scope="module")
def cued(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images whose size gives the class away."""
    root = tmp_path_factory.mktemp("data") / "cued"
    save_images(root / "양품", random_images(20, 40, 50, seed=1))
    save_images(root / "긁힘", random_images(20, 40, 60, seed=2))
    return root


def test_run_tells_findings_in_its_log_and_report(cued: Path, tmp_path: Path) -> None:
    run = train(cued, tmp_path, "export.enabled=false")
    line = run.findings[0].line
    assert line.startswith("severe: a cue gives the class away: the image size alone")
    assert f"WARNING audit: {line}" in (run.folder / "train.log").read_text("utf-8")
    assert line in run.report.read_text(encoding="utf-8")
    assert (run.folder / "audit.html").is_file()


def test_run_strict_audit_names_the_worst_finding_and_the_page(cued: Path, tmp_path: Path) -> None:
    begun = start(cued, tmp_path, "dataset.audit=strict")
    with pytest.raises(DatasetError, match=r"the image size alone .*audit\.html") as caught:
        begun.finish()
    assert "\n" not in str(caught.value)
    assert (begun.folder / "audit.html").is_file()
    assert not (begun.folder / "inspector").exists()


def test_run_strict_audit_without_severe_findings_trains(parts: Path, tmp_path: Path) -> None:
    run = train(parts, tmp_path, "dataset.audit=strict", "export.enabled=false")
    assert {one.severity for one in run.findings} == {"note", "warning"}


def test_run_without_audit_writes_no_page(cued: Path, tmp_path: Path) -> None:
    run = train(cued, tmp_path, "dataset.audit=off", "export.enabled=false")
    assert not run.findings
    assert not list(run.folder.glob("audit*"))


def test_cross_validate_audits_the_images_once(cued: Path, tmp_path: Path) -> None:
    words = settings(cued, tmp_path, "evaluation.folds=2", "export.enabled=false")
    folder = cross_validate(compose_config(words)).folder
    assert [path.parent.name for path in folder.glob("*/audit.html")] == ["fold-1"]
