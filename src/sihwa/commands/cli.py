"""The one console command: `sihwa train | score | verify | benchmark`."""

import gc
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

import sihwa
from sihwa.commands.benchmark_command import benchmark
from sihwa.commands.score_command import score
from sihwa.commands.verify_command import verify
from sihwa.errors import PackageMissing
from sihwa.terminal.console import errors_as_lines, loading, run_commands

__all__ = ["benchmark", "main", "run_alone", "score", "train", "verify"]

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
            run_commands(app)


def train(arguments: Sequence[str]) -> None:
    """Run the training command on overrides (`dataset=neu_det`) and flags of Hydra (`--help`)."""
    with errors_as_lines():
        try:
            with loading():
                from sihwa.commands.train_command import launch
        except ModuleNotFoundError as error:
            raise PackageMissing(
                f'training needs {error.name}, which is not installed: pip install "sihwa[train]"'
            ) from error
        launch(arguments)
    gc.freeze()  # a second: the interpreter's exit does not look through all of PyTorch once more


def run_alone(command: Callable[..., None]) -> None:
    """Run one command as a program of its own, such as scripts/score.py."""
    alone = typer.Typer(
        add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False
    )
    alone.command()(command)
    with errors_as_lines():
        run_commands(alone)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"sihwa {sihwa.__version__}")
        raise typer.Exit


app.command("score")(score)
app.command("verify")(verify)
app.command("benchmark")(benchmark)


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
