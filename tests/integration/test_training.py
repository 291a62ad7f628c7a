"""Runs that train by gradient descent: resumed, cross-validated, swept, on two processes."""

import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sihwa.errors import ConfigError, StorageError
from sihwa.run import Run, RunResult
from sihwa.run.compose import compose_config
from sihwa.run.folds import cross_validate, resume_folds
from sihwa.run.run_folder import hold_run
from sihwa.run.sweep import run_sweep
from sihwa.storage import hold
from sihwa.training import StagesConfig
from sihwa.training.checkpoint import TrainState
from tests.integration.conftest import settings, train

ROOT = Path(__file__).parents[2]
STAGES = (
    "training=stages",
    "training.epochs=3",
    "training.views=2",
    "training.batch_size=8",
    "training.trained_share=0.5",
    "training.precision=fp32",
)
RESULTS = ("metrics.json", "predictions.parquet", "inspector/weights.safetensors")


def results(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in RESULTS}


def resume(folder: Path) -> RunResult:
    return Run.resume(folder).finish()


class Killed(BaseException):
    pass


def kill_in_epoch(monkeypatch: pytest.MonkeyPatch, epoch: int) -> None:
    original = TrainState.save

    def kill(self: TrainState, path: Path) -> None:
        original(self, path)
        if self.progress.epoch == epoch + 1:
            raise Killed

    monkeypatch.setattr(TrainState, "save", kill)


@pytest.fixture(scope="module")
def stages(parts: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return train(parts, tmp_path_factory.mktemp("stages"), *STAGES)


def test_finish_stages_ships_what_it_trained(stages: RunResult) -> None:
    assert stages.evaluation.count == 8
    assert all(proof.proven for proof in stages.proofs)
    page = stages.report.read_text(encoding="utf-8")
    assert "Training curves" in page
    assert "<polyline" in page
    assert (stages.folder / "augmentation.png").is_file()
    assert list((stages.folder / "tensorboard").glob("events.*"))


@pytest.mark.parametrize("resume_again", [resume, resume_folds])
def test_resume_run_of_another_process_is_refused_and_left_alone(
    run: RunResult, tmp_path: Path, resume_again: Callable[[Path], object]
) -> None:
    folder = Path(shutil.copytree(run.folder, tmp_path / "run"))
    (folder / "report.html").unlink()
    with (
        hold_run(folder),
        pytest.raises(StorageError, match=r"another process is writing there\. Wait for that run"),
    ):
        resume_again(folder)
    assert (folder / "inspector" / "inspector.onnx").exists()  # resuming begins by removing it


def test_resume_after_a_kill_gives_the_same_files(
    stages: RunResult, parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        kill_in_epoch(patch, 1)
        with pytest.raises(Killed):
            train(parts, tmp_path / "killed", *STAGES)
    [folder] = (tmp_path / "killed").glob("*-*-*/*")
    (folder / ".metrics.json.0.tmp").write_text("half")
    resumed = resume(folder)
    assert "resuming after epoch 2 of 3" in (folder / "train.log").read_text("utf-8")
    assert results(resumed.folder) == results(stages.folder)
    assert not list(folder.rglob("*.tmp"))
    with pytest.raises(ConfigError, match=r"resume: the run in .* is finished"):
        resume(folder)


@pytest.mark.parametrize(
    "text",
    [b"a: [", b"schema: {dataset: moon}", b"schema: 5", b"- 1", b"\xff\xfe", b"#" * 2_000_000],
    ids=["no YAML", "schema", "number", "list", "no text", "long"],
)
def test_resume_foreign_config_is_one_clear_error(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "config.yaml").write_bytes(text)
    with pytest.raises(ConfigError, match="was not written by a run"):
        resume(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("seed: 0", "seed: nine", "`int`, got `str`"),
        ("seed: 0", "seed: -1", r"seed must be in \[0, 4294967295\], got -1"),
        ("seed: 0\n", "", "missing or unknown: seed"),
        ("  resamples: 100\n", "", "missing or unknown: evaluation.resamples"),
        ("  resamples: 100\n", "  resample: 100\n", "unknown: evaluation.resample, "),
    ],
)
def test_resume_edited_config_is_one_clear_error(
    run: RunResult, tmp_path: Path, old: str, new: str, reason: str
) -> None:
    text = (run.folder / "config.yaml").read_text("utf-8")
    assert old in text
    (tmp_path / "config.yaml").write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(ConfigError, match=f"was not written by a run: .*{reason}"):
        resume(tmp_path)


def test_cross_validate_tests_every_image_once_and_resumes(parts: Path, tmp_path: Path) -> None:
    result = cross_validate(compose_config(settings(parts, tmp_path, "evaluation.folds=3")))
    written = json.loads((result.folder / "cross_validation.json").read_text())
    values = [
        json.loads((result.folder / f"fold-{n}" / "metrics.json").read_text())["figures"]
        for n in (1, 2, 3)
    ]
    accuracy = [one["accuracy"]["value"] for one in values]
    assert sum(one["accuracy"]["count"] for one in values) == 40
    assert written["accuracy"]["mean"] == pytest.approx(np.mean(accuracy))
    assert written["accuracy"]["deviation"] == pytest.approx(np.std(accuracy, ddof=1))
    # a killed one runs the missing folds and touches no other
    (result.folder / "cross_validation.json").unlink()
    (result.folder / "fold-2" / "report.html").unlink()
    before = (result.folder / "fold-1" / "report.html").stat().st_mtime_ns
    again = resume_folds(result.folder)
    assert again.figures == result.figures
    assert (result.folder / "fold-1" / "report.html").stat().st_mtime_ns == before


def test_cross_validate_interrupted_says_how_to_resume(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def press(*_: object) -> None:
        raise KeyboardInterrupt

    config = compose_config(settings(parts, tmp_path / "out put", "evaluation.folds=2"))
    with monkeypatch.context() as patch:
        patch.setattr("sihwa.run.run.calibrate", press)
        with caplog.at_level("WARNING"), pytest.raises(KeyboardInterrupt):
            cross_validate(config)
    [folder] = (tmp_path / "out put").glob("*-*-*/*")
    [advice] = [line for line in caplog.messages if "resume with" in line]
    assert advice == f"interrupted; resume with: python train.py 'resume={folder}'"
    assert len(resume_folds(folder).figures["accuracy"]) == 2


def test_resume_from_another_folder_keeps_odd_names_and_settings(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = Path(shutil.copytree(parts, tmp_path / "a" / "${x}부품"))
    monkeypatch.chdir(tmp_path / "a")
    with monkeypatch.context() as patch:
        kill_in_epoch(patch, 0)
        given = settings(Path("escaped"), Path("out"), *STAGES, "seed=3", "training.ema=0.5")
        given[1] = f"dataset.root='\\{odd.name}'"
        with pytest.raises(Killed):
            Run.start(compose_config(given)).finish()
    [folder] = (tmp_path / "a" / "out").glob("*-*-*/*")
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "b")
    resumed = resume(folder)
    assert list((tmp_path / "b").iterdir()) == []
    assert resumed.config.dataset.root == str(odd)  # type: ignore[attr-defined]
    assert resumed.config.seed == 3
    assert resumed.config.training.ema == 0.5  # type: ignore[attr-defined]
    assert (tmp_path / "a" / "out" / "latest").resolve() == resumed.folder


def test_run_sweep_resumes_its_study(parts: Path, tmp_path: Path) -> None:
    sweep = tmp_path / "mine.yaml"
    text = (
        "trials: {}\nsettings: [training.selection.held_out=0.3, training.epochs=1]\n"
        "space: {{training.views: {{low: 1, high: 3}}, "
        "training.optimizer.learning_rate: {{low: 1.0e-4, high: 1.0e-2, log: true}}}}\n"
    )
    given = settings(parts, tmp_path / "out", *STAGES)
    sweep.write_text(text.format(1))
    first = run_sweep(str(sweep), given)
    sweep.write_text(text.format(3))
    second = run_sweep(str(sweep), given)
    assert (first.trials, second.trials) == (1, 3)
    assert first.path == second.path
    assert second.score <= first.score
    assert re.fullmatch(r"training\.views=[123]", second.settings[-2])
    assert second.settings[-1].startswith("training.optimizer.learning_rate=")
    best = compose_config(second.settings).training
    assert isinstance(best, StagesConfig)
    assert (best.epochs, best.selection.held_out) == (3, 0.3)
    with (
        hold(first.path.parent / ".lock", tmp_path, ""),  # another process is at it
        pytest.raises(StorageError, match="Wait for that sweep"),
    ):
        run_sweep(str(sweep), given)
    assert not list((tmp_path / "out").glob("*-*-*"))  # no test figures were made


def test_run_sweep_without_held_out_images_is_refused(parts: Path, tmp_path: Path) -> None:
    sweep = tmp_path / "mine.yaml"
    sweep.write_text("space: {training.ema: {choices: [0.5]}}\n")
    with pytest.raises(ConfigError, match=r"add training\.selection\.held_out"):
        run_sweep(str(sweep), settings(parts, tmp_path, *STAGES))


@pytest.mark.slow
def test_train_command_two_processes_give_the_run_of_one(parts: Path, tmp_path: Path) -> None:
    # frozen norms: otherwise each process would measure its own half of a batch
    same = (
        "training=finetune", "training.epochs=2", "training.batch_size=9", "training.norm=frozen",
        "training.precision=fp32", "augmentation=none", "training.selection.held_out=0.3",
    )  # fmt: skip
    alone = train(parts, tmp_path / "alone", *same)
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
        str(ROOT / "train.py"), *settings(parts, tmp_path / "both", *same),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    [folder] = (tmp_path / "both").glob("*-*-*/*")
    (folder / "report.html").unlink()  # as if it had been killed at the very end
    again = [*command[:6], f"resume={folder}"]
    done = subprocess.run(again, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (folder / "report.html").exists()
    import pandas as pd

    one, both = (pd.read_parquet(path / "predictions.parquet") for path in (alone.folder, folder))
    assert one["path"].tolist() == both["path"].tolist()
    for name in ("probability_긁힘", "probability_양품"):
        np.testing.assert_allclose(both[name], one[name], atol=2e-3)


@pytest.mark.slow
def test_train_command_killed_ten_times_gives_the_same_files(parts: Path, tmp_path: Path) -> None:
    more = (*STAGES, "training.epochs=40")
    begin = time.monotonic()
    whole = train(parts, tmp_path / "whole", *more)
    seconds = time.monotonic() - begin
    rng = random.Random(0)
    command = [sys.executable, str(ROOT / "train.py"), *settings(parts, tmp_path / "killed", *more)]
    kills = 0
    while True:
        folders = list((tmp_path / "killed").glob("*-*-*/*/config.yaml"))
        if folders:
            command = [sys.executable, str(ROOT / "train.py"), f"resume={folders[0].parent}"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            # from within start-up to near the end of what is left
            code = process.wait(timeout=None if kills >= 10 else rng.uniform(4, 8 + seconds / 2))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            continue
        assert code == 0
        break
    [folder] = (tmp_path / "killed").glob("*-*-*/*")
    assert results(folder) == results(whole.folder)


def test_finish_precision_that_the_device_lacks_is_refused_before_any_work(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sihwa.training.finetune.hold_out", pytest.fail)
    with pytest.raises(ConfigError, match="fp16 needs a CUDA device"):
        train(parts, tmp_path, *STAGES, "training.precision=fp16", "device=cpu")
