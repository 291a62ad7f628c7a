"""Cross-validation: one whole run per fold, and the mean and deviation of their figures."""

import json
import logging
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from rich.console import Console
from rich.table import Table

from sihwa.dataset import Manifest, assign_folds, read_dataset, read_manifest
from sihwa.errors import ConfigError
from sihwa.run.config import TrainConfig
from sihwa.run.run import resume_fold, train_fold
from sihwa.run.run_files import read_config, write_config
from sihwa.run.run_folder import (
    advising_to_resume,
    create_run_folder,
    hold_run,
    point_latest,
)
from sihwa.storage import write_json
from sihwa.training import world

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CrossValidation:
    """What the folds of a run measured.

    Attributes:
        folder: The run folder; `fold-1`, `fold-2`, ... in it are run folders themselves.
        figures: For each figure its value in each fold; folds without that figure are left out.
    """

    folder: Path
    figures: dict[str, list[float]]

    def as_dict(self) -> dict[str, Any]:
        """Return the content of cross_validation.json."""
        return {
            name: {"mean": fmean(value), "deviation": stdev(value), "values": value}
            for name, value in self.figures.items()
            if len(value) > 1
        }


def cross_validate(config: TrainConfig) -> CrossValidation:
    """Make one inspector per fold; every image is tested exactly once.

    Args:
        config: Validated settings, `evaluation.folds` at least 2.

    Raises:
        SihwaError: Whatever a user can mend.
    """
    if world()[1] > 1:
        raise ConfigError(f"evaluation.folds={config.evaluation.folds} runs in one process")
    manifest = read_dataset(config.dataset, config.seed)
    folder = create_run_folder(Path(config.output_dir), datetime.now().astimezone())
    with hold_run(folder), advising_to_resume(folder):
        manifest.write(folder / "manifest.parquet")
        write_config(folder, config)
        return _run_folds(folder, manifest, config)


def resume_folds(folder: Path) -> CrossValidation:
    """Go on with a cross-validation: finished folds are kept, the others finished.

    Raises:
        ConfigError: It is no run folder, or it is finished.
        SihwaError: Whatever a user can mend.
    """
    folder = folder.expanduser().resolve()
    config = read_config(folder)
    if (folder / "cross_validation.json").exists():
        raise ConfigError(f"resume: the run in {folder} is finished; see cross_validation.json")
    with hold_run(folder), advising_to_resume(folder):
        return _run_folds(folder, read_manifest(folder / "manifest.parquet"), config)


def _run_folds(folder: Path, manifest: Manifest, config: TrainConfig) -> CrossValidation:
    count = config.evaluation.folds
    single = replace(config, evaluation=replace(config.evaluation, folds=1))
    label = manifest.table["label"].to_pylist()
    splits = assign_folds(label, manifest.component, count, config.dataset.split, config.seed)
    for number, split in enumerate(splits, start=1):
        fold = folder / f"fold-{number}"
        if (fold / "report.html").exists():
            continue
        if (fold / "config.yaml").exists():
            resume_fold(fold)
        else:
            train_fold(fold, manifest.with_split(split), single)
    result = CrossValidation(folder, _figures(folder, count))
    write_json(folder / "cross_validation.json", result.as_dict())
    point_latest(Path(config.output_dir), folder)
    return result


def _figures(folder: Path, count: int) -> dict[str, list[float]]:
    figures: dict[str, list[float]] = {}
    for number in range(1, count + 1):
        text = (folder / f"fold-{number}" / "metrics.json").read_text(encoding="utf-8")
        for name, figure in json.loads(text)["figures"].items():
            if figure["value"] is not None:
                figures.setdefault(name, []).append(float(figure["value"]))
    return figures


def show_folds(result: CrossValidation) -> None:
    """Print mean and deviation of every figure, and where everything lies."""
    table = Table("figure", "mean", "deviation", "lowest", "highest", box=None)
    for name, value in result.figures.items():
        if len(value) > 1:
            numbers = (fmean(value), stdev(value), min(value), max(value))
            table.add_row(name.replace("_", " "), *(f"{number:.4f}" for number in numbers))
    console = Console()
    console.print(table)
    made = any(result.folder.glob("fold-*/inspector"))
    what = "folds and their inspectors" if made else "folds"
    console.print(f"{what}: {result.folder}", soft_wrap=True, highlight=False)
