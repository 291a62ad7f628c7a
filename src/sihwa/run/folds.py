"""Cross-validation: one whole run per fold, and the mean and deviation of their figures."""

import json
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from rich.table import Table

from sihwa.dataset import assign_folds, read_dataset
from sihwa.errors import ConfigError, carrying
from sihwa.run.config import TrainConfig
from sihwa.run.run import Run
from sihwa.run.run_files import read_config, read_inputs, write_inputs
from sihwa.run.run_folder import advise_to_resume, create_run_folder, hold_run, point_latest
from sihwa.storage import write_json
from sihwa.training import world


@dataclass(frozen=True)
class CrossValidation:
    """What the folds measured."""

    folder: Path
    """The run folder; `fold-1`, `fold-2`, ... in it are run folders themselves."""
    figures: dict[str, list[float]]
    """Name of a figure → its value in each fold; folds without it are left out."""

    def as_dict(self) -> dict[str, Any]:
        """Return the content of cross_validation.json."""
        return {
            name: {"mean": fmean(value), "deviation": stdev(value), "values": value}
            for name, value in self.figures.items()
            if len(value) > 1
        }

    def as_table(self) -> Table:
        """Return mean, deviation and range of every figure for the terminal."""
        table = Table("figure", "mean", "deviation", "lowest", "highest", box=None)
        for name, value in self.figures.items():
            if len(value) > 1:
                numbers = (fmean(value), stdev(value), min(value), max(value))
                table.add_row(name.replace("_", " "), *(f"{number:.4f}" for number in numbers))
        return table


def cross_validate(config: TrainConfig) -> CrossValidation:
    """Run each fold; every image is in the test split of exactly one."""
    if world()[1] > 1:
        raise ConfigError(f"evaluation.folds={config.evaluation.folds} runs in one process")
    manifest = read_dataset(config.dataset, config.seed)
    with carrying(manifest.notes):
        folder = create_run_folder(Path(config.output_dir), datetime.now().astimezone())
        write_inputs(folder, manifest, config)
    return resume_folds(folder)


def resume_folds(folder: Path, root: str | None = None) -> CrossValidation:
    """Run the folds that are not finished; `root` as of `Run.resume`."""
    folder = folder.expanduser().resolve()
    config = read_config(folder)
    if (folder / "cross_validation.json").exists():
        raise ConfigError(f"resume: the run in {folder} is finished; see cross_validation.json")
    count = config.evaluation.folds
    single = replace(config, evaluation=replace(config.evaluation, folds=1))
    with hold_run(folder), advise_to_resume(folder):
        manifest = read_inputs(folder, root)
        label = manifest.table["label"].to_pylist()
        splits = assign_folds(label, manifest.component, count, config.dataset.split, config.seed)
        for number, split in enumerate(splits, start=1):
            fold = folder / f"fold-{number}"
            if (fold / "report.html").exists():
                continue
            if not (fold / "config.yaml").exists():
                fold.mkdir(exist_ok=True)
                write_inputs(fold, manifest.with_split(split), single)
            Run.resume(fold, root).finish()
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
