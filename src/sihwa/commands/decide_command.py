"""The command `sihwa decide`: another policy for a finished inspector."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from sihwa.decision import (
    CostConfig,
    DecisionConfig,
    EscapeBoundConfig,
    EvenOddsConfig,
    SelectiveConfig,
    ThresholdPolicy,
    TopClassConfig,
    TopClassPolicy,
)
from sihwa.errors import ConfigError
from sihwa.scoring.decide_again import decide_again
from sihwa.scoring.parts import PartRule, write_parts
from sihwa.scoring.score_table import open_scores
from sihwa.terminal.console import a_path, note, say
from sihwa.terminal.guard import begin_work

if TYPE_CHECKING:
    from sihwa.inspector.redecide import Redecided


def a_share(text: str | float) -> float:
    """Return a share given as `1%` or `0.01`; a default is a number."""
    if isinstance(text, float):
        return text
    try:
        share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError as error:
        raise ConfigError(f"expected a share such as 1% or 0.01, got {text!r}") from error
    if not 0 <= share <= 1:
        raise ConfigError(f"expected a share from 0 to 1 or from 0% to 100%, got {text!r}")
    return share


def decide(
    inspector: Annotated[
        Path,
        typer.Argument(
            parser=a_path, metavar="inspector", help="Inspector folder.", show_default=False
        ),
    ],
    policy: Annotated[
        str, typer.Option(help="escape_bound, selective, cost, even_odds or top_class.")
    ] = "escape_bound",
    escapes: Annotated[
        float,
        typer.Option(parser=a_share, metavar="SHARE", help="escape_bound: most accepted defects."),
    ] = 0.01,
    overkill: Annotated[
        float,
        typer.Option(
            parser=a_share, metavar="SHARE", help="escape_bound: most rejected good ones."
        ),
    ] = 0.05,
    errors: Annotated[
        float, typer.Option(parser=a_share, metavar="SHARE", help="selective: most wrong classes.")
    ] = 0.01,
    confidence: Annotated[
        float, typer.Option(parser=a_share, metavar="SHARE", help="How sure each bound is.")
    ] = 0.95,
    best_provable: Annotated[
        bool, typer.Option(help="Take the best that can be proven, if that is less.")
    ] = False,
    escape_cost: Annotated[float, typer.Option(help="cost: of an escape.")] = 0.0,
    overkill_cost: Annotated[float, typer.Option(help="cost: of a rejected good part.")] = 0.0,
    review_cost: Annotated[float, typer.Option(help="cost: of looking at a part.")] = 0.0,
    prevalence: Annotated[
        float | None,
        typer.Option(
            parser=a_share,
            metavar="SHARE",
            help="cost: defective parts on the line.  \\[default: as in the data set]",
            show_default=False,
        ),
    ] = None,
    unknown_rate: Annotated[
        float, typer.Option(parser=a_share, metavar="SHARE", help="Ordinary images called unknown.")
    ] = 0.01,
    per: Annotated[
        str, typer.Option(help="What rates count: image, or part (groups of calibration images).")
    ] = "image",
    table: Annotated[
        Path | None,
        typer.Option(
            parser=a_path,
            metavar="SCORES",
            help="A table of `sihwa score` with this inspector: decide its rows again.",
            show_default=False,
        ),
    ] = None,
    part: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="With --table: decide parts, too; as `sihwa score --part`.",
            show_default=False,
        ),
    ] = None,
    views: Annotated[
        int | None,
        typer.Option(
            help="With --part: a part with fewer images goes to review.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            parser=a_path,
            metavar="PATH",
            help="New inspector folder, or with --table a new table. Without it, the trade-off is "
            "shown and nothing is written.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Move the thresholds of an inspector, without training again.

    The thresholds come from the outputs for the calibration images, which
    the inspector keeps. What can be proven of them is printed, beside what
    other thresholds would give. The inspector itself is not changed.

    [bold]Examples[/]

    sihwa decide inspector --escapes 2%

    sihwa decide inspector --escapes 2% --overkill 10% --out inspector-2

    sihwa decide inspector --policy cost --escape-cost 50000
    --overkill-cost 3000 --review-cost 50 --prevalence 2% --out inspector-cost

    sihwa decide inspector --escapes 2% --table scores.csv --out again.csv
    """
    begin_work()
    if out is not None and out.exists():
        raise ConfigError(f"--out: {out} exists already; name a new folder")
    if (part or views) and table is None:
        raise ConfigError("--part and --views go with --table SCORES")
    if table is not None and out is None:
        raise ConfigError("--table: name the new table with --out NEW.csv, .jsonl or .parquet")
    from sihwa.inspector.redecide import redecide  # imports SciPy, which --help does not need

    shared = policy, unknown_rate, per
    with _flags_named():
        config: DecisionConfig
        match policy:
            case "escape_bound":
                config = EscapeBoundConfig(
                    *shared, escapes, overkill, {}, confidence, best_provable
                )
            case "selective":
                config = SelectiveConfig(*shared, errors, confidence, best_provable)
            case "cost":
                config = CostConfig(
                    *shared, escape_cost, overkill_cost, review_cost, "", prevalence
                )
            case "even_odds":
                config = EvenOddsConfig(*shared)
            case "top_class":
                config = TopClassConfig(*shared)
            case _:
                raise ConfigError(
                    "--policy must be one of escape_bound, selective, cost, even_odds, top_class; "
                    f"got {policy!r}"
                )
        found = redecide(inspector, config, None if table else out)
    show_decided(found, confidence)
    if found.fitted.unknown_note:
        note(found.fitted.unknown_note.replace("decision.unknown_rate", "--unknown-rate"))
    if table is not None and out is not None:
        _decide_table(table, found, out, PartRule.of(part, views) if part else None)
        return
    if out is None:
        say("nothing was written; --out FOLDER writes an inspector with these thresholds")
        return
    if found.has_lost_int8:
        note("the INT8 model is left out: its margin was measured for the old thresholds")
    say(f"-> {out}; run `sihwa verify {out}` to prove the faster runtimes for it")


def _decide_table(table: Path, found: "Redecided", out: Path, rule: PartRule | None) -> None:
    scores = open_scores(table)
    moved = decide_again(scores, found.before, found.after, out)
    for change, count in sorted(moved.items()):
        say(f"{count:,} images: {change}")
    say(f"{moved.total():,} decisions changed -> {out}")
    if rule:
        counts = write_parts(out, open_scores(out).tables(), rule)
        listed = ", ".join(f"{count} {name}" for name, count in sorted(counts.decisions.items()))
        say(f"parts: {listed} -> {counts.path}")


@contextlib.contextmanager
def _flags_named() -> Iterator[None]:
    """Name the flags in an error about settings: `decision.escapes=0.01` becomes `--escapes`."""
    try:
        yield
    except ConfigError as error:
        text = str(error).replace("decision.best_provable=true", "--best-provable")
        text = re.sub(r"decision\.(escape|overkill|review)( must)", r"--\1-cost\2", text)
        text = re.sub(r"decision\.(\w+)", lambda found: "--" + found[1].replace("_", "-"), text)
        raise ConfigError(text) from error


def show_decided(found: "Redecided", confidence: float) -> None:
    """Print the thresholds, what they prove, and what others would give."""
    from sihwa.decision.trade_off import trade_offs

    policy = found.fitted.policy
    if isinstance(policy, ThresholdPolicy):
        rows = trade_offs(found.images, policy.reject_at_least, confidence)
        table = Table(box=None, padding=(0, 2, 0, 0))
        heads = ("P(defect) up to", "escapes", f"proven at {confidence:.0%}", "good accepted",
                 "overkill", "review")  # fmt: skip
        for head in heads:
            table.add_column(head, justify="right", no_wrap=True)
        for row in rows:
            table.add_row(
                f"{row.accept_at_most:.4g}",
                f"{row.escapes} of {row.defects}",
                f"{row.escape_bound:.2%}",
                f"{row.accepted_good:.1%}",
                f"{row.overkill:.1%}",
                f"{row.review:.1%}",
            )
        Console().print(table)
        say(
            f"accepted up to P(defect) {policy.accept_at_most:.4g}, rejected from "
            f"{policy.reject_at_least:.4g}, reviewed between"
        )
    elif isinstance(policy, TopClassPolicy) and policy.least_probability is not None:
        say(f"reviewed below a probability of {policy.least_probability:.4g}")
    for claim in found.fitted.claims:
        say(claim.sentence())
