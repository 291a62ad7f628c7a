"""What the training command prints: figures, and the paths of inspector and report."""

import time
from pathlib import Path

from rich.console import Console

from sihwa.reporting import metrics_table
from sihwa.run import Run, RunResult, TrainConfig
from sihwa.run.folds import CrossValidation, cross_validate, resume_folds
from sihwa.run.processes import choose_device, process_group
from sihwa.run.run import assist_training
from sihwa.run.run_files import read_config
from sihwa.terminal.console import loading
from sihwa.training import world


def train_and_show(config: TrainConfig) -> None:
    """Run a training and print its figures."""
    begin = time.perf_counter()
    if config.evaluation.folds > 1:
        _show_folds(cross_validate(config))
        return
    with process_group(choose_device(config.device)):
        if world()[0] > 0:
            assist_training(config)
        else:
            _show(Run.start(config).finish(), time.perf_counter() - begin)


def resume_and_show(folder: Path) -> None:
    """Resume a run and print its figures."""
    begin = time.perf_counter()
    with loading():
        config = read_config(folder.expanduser().resolve())
    if config.evaluation.folds > 1:
        _show_folds(resume_folds(folder))
        return
    with process_group(choose_device(config.device)):
        if world()[0] > 0:
            assist_training(config)
        else:
            _show(Run.resume(folder).finish(), time.perf_counter() - begin)


def _show(result: RunResult, seconds: float) -> None:
    lines = ["no inspector was made: export.enabled=false"]
    if result.card:
        compared = result.proofs[0].images
        lines = [
            f"inspector {result.card.id}: {result.inspector}",
            f"it decides as the trained network in all {compared} comparisons: the "
            f"{result.evaluation.count} test images, and some of them in other sizes",
        ]
    lines += [f"report: {result.report}", f"{seconds:.1f} s from settings to report"]
    console = Console()
    console.print(metrics_table(result.evaluation))
    console.print("\n".join(lines), soft_wrap=True, highlight=False)


def _show_folds(result: CrossValidation) -> None:
    console = Console()
    console.print(result.as_table())
    console.print(f"folds: {result.folder}", soft_wrap=True, highlight=False)
