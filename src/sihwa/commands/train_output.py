"""What the training command prints: figures, verdicts on the runtimes, and paths."""

import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from sihwa.reporting import metrics_table
from sihwa.run import Run, RunResult, TrainConfig
from sihwa.run.folds import CrossValidation, cross_validate, resume_folds
from sihwa.run.processes import choose_device, process_group
from sihwa.run.run import assist_training
from sihwa.run.run_files import read_config
from sihwa.training import world


def train_and_show(config: TrainConfig) -> None:
    """Run a training and print its figures."""
    if config.evaluation.folds > 1:
        _show_folds(cross_validate(config))
    else:
        _finish_and_show(config, lambda: Run.start(config))


def resume_and_show(folder: Path) -> None:
    """Resume a run and print its figures."""
    config = read_config(folder.expanduser().resolve())
    if config.evaluation.folds > 1:
        _show_folds(resume_folds(folder))
    else:
        _finish_and_show(config, lambda: Run.resume(folder))


def _finish_and_show(config: TrainConfig, create_run: Callable[[], Run]) -> None:
    begin = time.perf_counter()
    with process_group(choose_device(config.device)):
        if world()[0] > 0:
            assist_training(config)
            return
        result = create_run().finish()
    show_run(result)
    seconds = time.perf_counter() - begin
    Console().print(f"{seconds:.1f} s from settings to report", highlight=False)


def show_run(result: RunResult) -> None:
    """Print the figures of a run, the verdict on each runtime, and the paths of its files."""
    lines = ["no inspector was made: export.enabled=false"]
    if result.card:
        lines = [f"inspector {result.card.id}: {result.inspector}"]
        lines += [proof.verdict() for proof in result.proofs]
    lines.append(f"report: {result.report}")
    console = Console()
    console.print(metrics_table(result.evaluation))
    console.print("\n".join(lines), soft_wrap=True, highlight=False)


def _show_folds(result: CrossValidation) -> None:
    console = Console()
    console.print(result.as_table())
    console.print(f"folds: {result.folder}", soft_wrap=True, highlight=False)
