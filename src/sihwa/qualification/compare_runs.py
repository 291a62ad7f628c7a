"""Several training runs side by side: settings that differ, figures, and which is better."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from sihwa.errors import ConfigError
from sihwa.evaluation import Figure
from sihwa.qualification.finished_run import FIGURES, FinishedRun, runs_in
from sihwa.qualification.paired import PairedVerdict, compare_judged

_SIGNS = ("=", "+", "-", "@", "\t", "\r")
"""Spreadsheet programs run a cell that begins with one of these."""


@dataclass(frozen=True)
class RunPair:
    """Two runs with the same test images."""

    run: int
    """Place of the run that is called better or worse."""
    other: int
    """Place of the run that it is compared with."""
    verdicts: list[PairedVerdict]


@dataclass(frozen=True)
class SeedSpread:
    """Figures of runs that differ by seed alone."""

    runs: list[int]
    """Their places."""
    figures: dict[str, tuple[float, float]]
    """Name → mean and standard deviation over the seeds."""


@dataclass(frozen=True)
class ComparedRuns:
    """Several runs side by side, in the order given."""

    runs: list[FinishedRun]
    differing: list[str]
    """Settings that all runs have and that differ, and the names of groups that differ."""
    pairs: list[RunPair]
    """Each run with the first one before it that has the same test images."""
    spreads: list[SeedSpread]


def compare_runs(folders: Sequence[Path]) -> ComparedRuns:
    """Compare finished runs; the folder of a cross-validation stands for its folds.

    Raises:
        ConfigError: There are fewer than two runs, or a folder is not that of a finished run.
        DatasetError: The manifest of a run was changed.
    """
    runs = [run for folder in folders for run in runs_in(folder)]
    if len(runs) < 2:
        raise ConfigError(f"expected at least two runs to compare, got {len(runs)}")
    return ComparedRuns(runs, _differing(runs), list(_pairs(runs)), _spreads(runs))


def _differing(runs: Sequence[FinishedRun]) -> list[str]:
    """Return the settings that differ among those that all runs have.

    A setting that only some runs have belongs to another kind of training or data, whose name
    differs as well.
    """
    shared = [name for name in runs[0].settings if all(name in run.settings for run in runs)]
    return [name for name in shared if len({run.settings[name] for run in runs}) > 1]


def _pairs(runs: Sequence[FinishedRun]) -> Iterator[RunPair]:
    first: dict[tuple[object, ...], int] = {}
    for place, run in enumerate(runs):
        images = run.test_images
        key = images.sha256, images.label, run.accept_classes
        other = first.setdefault(key, place)
        if other != place:
            its = runs[other].test_images
            yield RunPair(place, other, compare_judged(images.judged, its.judged, its.group))


def _spreads(runs: Sequence[FinishedRun]) -> list[SeedSpread]:
    alike: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for place, run in enumerate(runs):
        others = tuple(sorted((n, v) for n, v in run.settings.items() if n != "seed"))
        alike.setdefault(others, []).append(place)
    return [
        SeedSpread(places, _means([runs[place] for place in places]))
        for places in alike.values()
        if len({runs[place].settings.get("seed") for place in places}) > 1
    ]


def _means(runs: Sequence[FinishedRun]) -> dict[str, tuple[float, float]]:
    values = {
        name: [
            figure.value
            for run in runs
            if (figure := run.figures.get(name)) and figure.value is not None
        ]
        for name in FIGURES
    }
    return {name: (fmean(one), stdev(one)) for name, one in values.items() if len(one) > 1}


def as_csv(compared: ComparedRuns) -> bytes:
    """Return one row per run: settings that differ, and figures with their intervals.

    It begins with a byte order mark, without which spreadsheets misread Korean letters.
    """
    names = [name for name in FIGURES if any(name in run.figures for run in compared.runs)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    parts = ("", "_low", "_high", "_occurrences", "_images")
    heads = [name + part for name in names for part in parts]
    writer.writerow(["run", *compared.differing, *heads])
    for run in compared.runs:
        settings = [run.settings[name] for name in compared.differing]
        figures = [cell for name in names for cell in _cells(run.figures.get(name))]
        writer.writerow([*map(_safe, (str(run.folder), *settings)), *figures])
    return text.getvalue().encode("utf-8-sig", errors="backslashreplace")


def _cells(figure: Figure | None) -> list[float | int | None]:
    if figure is None:
        return [None] * 5
    return [figure.value, figure.low, figure.high, figure.occurrences, figure.count]


def _safe(text: str) -> str:
    """Return a cell that no spreadsheet program runs as a formula; a number stays one.

    >>> _safe("=1+1"), _safe("-0.5"), _safe("tiny")
    ("'=1+1", '-0.5', 'tiny')
    """
    try:
        float(text)
    except ValueError:
        return f"'{text}" if text.startswith(_SIGNS) else text
    return text
