"""What the training command prints: figures, verdicts on the runtimes, and paths."""

from pathlib import Path

from rich.console import Console

from sihwa.reporting import metrics_table
from sihwa.run.config import TrainConfig
from sihwa.run.folds import cross_validate, resume_folds, show_folds
from sihwa.run.processes import process_group
from sihwa.run.run import (
    TrainedRun,
    assist_training,
    choose_device,
    resume_inspector,
    train_inspector,
)
from sihwa.run.run_files import read_config
from sihwa.training import world


def train_and_show(config: TrainConfig) -> None:
    """Make an inspector and print its figures and paths."""
    if config.evaluation.folds > 1:
        show_folds(cross_validate(config))
        return
    with process_group(choose_device(config.device)):
        if world()[0] > 0:
            assist_training(config)
        else:
            show_run(train_inspector(config))


def resume_and_show(folder: Path) -> None:
    """Resume a run and print its figures and where the files are."""
    config = read_config(folder.expanduser().resolve())
    if config.evaluation.folds > 1:
        show_folds(resume_folds(folder))
        return
    with process_group(choose_device(config.device)):
        if world()[0] > 0:
            assist_training(config)
        else:
            show_run(resume_inspector(folder))


def show_run(run: TrainedRun) -> None:
    """Print the figures of a run, the verdict on each runtime, and where the files are."""
    console = Console()
    console.print(metrics_table(run.evaluation))
    lines = [f"report: {run.report}", f"{run.seconds:.1f} s from settings to report"]
    if run.card:
        lines.insert(0, f"inspector {run.card.id}: {run.inspector}")
        lines[-1:-1] = [proof.verdict() for proof in run.proof]
    else:
        lines.insert(0, "no inspector was made: export.enabled=false")
    console.print("\n".join(lines), soft_wrap=True, highlight=False)
