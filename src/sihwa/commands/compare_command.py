"""The command `sihwa compare`: training runs side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sihwa.errors import ConfigError
from sihwa.terminal.console import a_path, say
from sihwa.terminal.guard import begin_work


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            parser=a_path,
            metavar="RUN...",
            help="Folders of finished runs; that of a cross-validation stands for its folds.",
            show_default=False,
        ),
    ],
    csv: Annotated[
        Path | None,
        typer.Option(parser=a_path, metavar="FILE", help="Write the table there, as CSV."),
    ] = None,
) -> None:
    """Compare training runs: settings that differ, figures, and which is better.

    One row per run with accuracy, escapes, overkill and review and their
    intervals. Runs that differ by seed alone get mean and deviation. Each
    run is tested against the first one with the same test images.
    docs/qualification.md explains the test.

    [bold]Examples[/]

    sihwa compare outputs/2026-01-31/14-05-09 outputs/2026-01-31/15-20-41

    sihwa compare outputs/2026-01-31/* --csv runs.csv
    """
    if csv is not None and csv.suffix.lower() != ".csv":
        raise ConfigError(f"--csv must name a .csv file, got {csv}")
    if csv is not None and csv.exists():
        raise ConfigError(f"--csv: {csv} exists already; name a new file")
    begin_work()
    show_runs(runs, csv)


def show_runs(folders: Sequence[Path], csv: Path | None = None) -> None:
    """Print runs side by side, and write them to a new CSV file if one is named."""
    # imports SciPy, which --help does not need
    from sihwa.qualification.compare_runs import as_csv, compare_runs
    from sihwa.qualification.comparison_text import comparison_lines, runs_table
    from sihwa.storage import write_bytes

    compared = compare_runs(folders)
    Console().print(runs_table(compared))
    for line in comparison_lines(compared):
        say(line)
    if csv is not None:
        write_bytes(csv, as_csv(compared))
        say(f"-> {csv}")
