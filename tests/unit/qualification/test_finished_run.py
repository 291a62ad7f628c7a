"""The folder of a finished run, and what is refused as one."""

from pathlib import Path

import pytest

from sihwa.errors import ConfigError, SihwaError
from sihwa.qualification.finished_run import read_run, runs_in
from tests.unit.qualification.made_run import made_run


def test_read_run_figures_are_those_of_the_decisions(tmp_path: Path) -> None:
    run = read_run(made_run(tmp_path / "run", missed=3, model={"name": "tiny", "tiles": [1, 2]}))
    assert list(run.figures) == ["accuracy", "escapes", "overkill", "review"]
    assert (run.figures["escapes"].occurrences, run.figures["escapes"].count) == (3, 20)
    assert run.settings == {"seed": "0", "model.name": "tiny", "model.tiles": "[1,2]"}
    assert len(run.test_images.sha256) == 40
    assert run.test_images.sha256 == tuple(sorted(run.test_images.sha256))
    assert (run.test_images.judged.outcome == "accept").sum() == 23


def test_runs_in_cross_validation_are_its_folds_in_order(tmp_path: Path) -> None:
    for number in (1, 2, 10):
        made_run(tmp_path / f"fold-{number}")
    assert [run.folder.name for run in runs_in(tmp_path)] == ["fold-1", "fold-2", "fold-10"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("metrics.json", None, r"holds no metrics\.json"),
        ("metrics.json", "{", "was not written by a run"),
        ("metrics.json", "[" * 100_000, "was not written by a run"),
        ("metrics.json", '{"accept_classes": 3}', "was not written by a run"),
        ("metrics.json", '{"accept_classes": []}', "it states no accuracy"),
        ("config.yaml", None, r"holds no config\.yaml"),
        ("config.yaml", "- 3", "it holds no settings"),
        ("config.yaml", "a: &a [1]\nb: [*a, *a]", "it holds aliases"),
        ("config.yaml", "a: !!python/object:os.system {}", "was not written by a run"),
        ("config.yaml", "x" * 2_000_000, "more than 1000000 bytes"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_read_run_foreign_file_is_refused(
    tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    run = made_run(tmp_path / "run")
    if content is None:
        (run / name).unlink()
    else:
        (run / name).write_text(content)
    with pytest.raises(ConfigError, match=message) as caught:
        read_run(run)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["predictions.parquet", "manifest.parquet"])
def test_read_run_damaged_table_is_refused(tmp_path: Path, name: str) -> None:
    run = read_run(made_run(tmp_path / "run"))
    (run.folder / name).write_bytes(b"PAR1 and no more")
    with pytest.raises(SihwaError, match=f"{name}.*written by a run"):
        _ = run.test_images
