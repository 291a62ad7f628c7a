"""The one console command: `sihwa train | score`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from sihwa import __version__
from sihwa.console import errors_as_lines
from sihwa.errors import PackageMissing
from sihwa.inspector import load_inspector
from sihwa.scoring import ScoreSummary, score_folder

__all__ = ["main", "score", "train"]

app = typer.Typer(
    help="From a folder of part photographs to a qualified inspector on a cheap factory PC.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line; `sihwa train` hands everything after it to Hydra."""
    if sys.argv[1:2] == ["train"]:
        train(sys.argv[2:])
    else:
        with errors_as_lines():
            app()


def train(arguments: Sequence[str]) -> None:
    """Run the training command on overrides (`dataset=neu_det`) and flags of Hydra (`--help`)."""
    with errors_as_lines():
        try:
            from sihwa.workshop.launch import launch
        except ModuleNotFoundError as error:
            raise PackageMissing(
                f'training needs {error.name}, which is not installed: pip install "sihwa[train]"'
            ) from error
    launch(arguments)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"sihwa {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


@app.command("train", add_help_option=False)
def _train() -> None:
    """Make an inspector from photographs: [bold]sihwa train --help[/] shows the settings."""


@app.command()
def score(
    inspector: Annotated[
        Path, typer.Argument(help="Inspector folder, or its .onnx file.", show_default=False)
    ],
    source: Annotated[
        Path,
        typer.Argument(help="Folder of pictures (with subfolders), .zip, or one picture."),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Table to write: .csv, .jsonl or .parquet.")
    ],
    runtime: Annotated[str, typer.Option(help="auto, onnxruntime or openvino.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
) -> None:
    """Score every picture below a folder: one row per picture, whatever the picture.

    [bold]Examples[/]

    sihwa score outputs/latest/inspector parts/ --out scores.csv

    sihwa score inspector.onnx shift-3.zip --out scores.parquet --runtime openvino
    """
    loaded = load_inspector(inspector, runtime=runtime, precision=precision)
    console = Console(stderr=True)
    console.print(f"inspector {loaded.card.id}, {loaded.explanation}", highlight=False)
    summary = score_folder(loaded, source, out)
    _print_summary(summary, out)


def _print_summary(summary: ScoreSummary, out: Path) -> None:
    table = Table("", "pictures", box=None, padding=(0, 2, 0, 0))
    for name, count in (*sorted(summary.decisions.items()), *sorted(summary.classes.items())):
        table.add_row(name, str(count))
    table.add_row("unreadable", str(summary.errors))
    console = Console()
    console.print(table)
    rate = summary.images / max(summary.seconds, 1e-9)
    console.print(
        f"{summary.images} rows in {summary.seconds:.1f} s ({rate:,.0f} images/s) -> {out}"
        + (f"; {summary.other_files} other files were no pictures" if summary.other_files else ""),
        soft_wrap=True,
        highlight=False,
    )
