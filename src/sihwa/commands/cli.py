"""The console command: `sihwa train`, `audit`, `score`, `decide`, `evaluate` and others."""

import gc
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

import sihwa
from sihwa.commands.audit_command import audit
from sihwa.commands.benchmark_command import benchmark
from sihwa.commands.compare_command import compare
from sihwa.commands.decide_command import decide
from sihwa.commands.evaluate_command import evaluate
from sihwa.commands.explain_command import explain
from sihwa.commands.fetch_command import fetch
from sihwa.commands.monitor_command import monitor
from sihwa.commands.score_command import score
from sihwa.commands.study_command import study
from sihwa.commands.verify_command import verify
from sihwa.terminal.console import run_commands

__all__ = [
    "audit",
    "benchmark",
    "compare",
    "decide",
    "evaluate",
    "explain",
    "fetch",
    "monitor",
    "run",
    "run_alone",
    "score",
    "study",
    "train",
    "verify",
]


def _new_app(description: str | None = None) -> typer.Typer:
    return typer.Typer(
        help=description,
        no_args_is_help=description is not None,
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
    )


app = _new_app("From a folder of part images to a tested inspector on a cheap factory PC.")


def run() -> None:
    """Run the command line; `sihwa train` gets everything after it as it was typed."""
    if sys.argv[1:2] == ["train"]:
        train(sys.argv[2:])
    else:
        run_commands(app)


def run_alone(command: Callable[..., None]) -> None:
    """Run one command as a program of its own, such as scripts/score.py."""
    alone = _new_app()
    alone.command()(command)
    run_commands(alone)


def train(arguments: Sequence[str]) -> None:
    """Run the training command on settings (`dataset=neu_det`) and flags (`--help`)."""
    from sihwa.commands.train_command import launch

    launch(arguments)
    gc.freeze()  # saves a second at exit: the collector does not search all of PyTorch again


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"sihwa {sihwa.__version__}")
        raise typer.Exit


app.command("audit")(audit)
app.command("score")(score)
app.command("decide")(decide)
app.command("evaluate")(evaluate)
app.command("compare")(compare)
app.command("study")(study)
app.command("monitor")(monitor)
app.command("explain")(explain)
app.command("verify")(verify)
app.command("benchmark")(benchmark)
app.command("fetch")(fetch)


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
    """Make an inspector from images: [bold]sihwa train --help[/] shows the settings."""
