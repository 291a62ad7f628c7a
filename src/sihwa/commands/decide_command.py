"""The command `sihwa decide`: another policy for a finished inspector."""

import contextlib
import re
from collections.abc import Callable, Iterator
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
from sihwa.scoring.parts import PartRule, require_no_parts, write_parts
from sihwa.scoring.score_table import ScoreRows, open_scores
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
    escape_cost: Annotated[
        float, typer.Option(help="Of an escape; with all three costs, what a part costs is shown.")
    ] = 0.0,
    overkill_cost: Annotated[float, typer.Option(help="Of a rejected good part.")] = 0.0,
    review_cost: Annotated[float, typer.Option(help="Of looking at a part.")] = 0.0,
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

    def priced(per: str) -> CostConfig:
        costs = escape_cost, overkill_cost, review_cost
        return CostConfig("cost", unknown_rate, per, *costs, "", prevalence)

    shared = policy, unknown_rate, per
    makers: dict[str, Callable[[], DecisionConfig]] = {
        "escape_bound": lambda: EscapeBoundConfig(
            *shared, escapes, overkill, {}, confidence, best_provable
        ),
        "selective": lambda: SelectiveConfig(*shared, errors, confidence, best_provable),
        "cost": lambda: priced(per),
        "even_odds": lambda: EvenOddsConfig(*shared),
        "top_class": lambda: TopClassConfig(*shared),
    }
    if policy not in makers:
        raise ConfigError(f"--policy must be one of {', '.join(makers)}; got {policy!r}")
    with _flags_named():
        found = redecide(inspector, makers[policy](), None if table else out)
        stated = priced("image") if escape_cost or overkill_cost or review_cost else None
    show_decided(found, confidence)
    if stated and per == "image":
        show_costs(found, stated)
    if found.fitted.unknown_note:
        note(found.fitted.unknown_note.replace("decision.unknown_rate", "--unknown-rate"))
    if table is not None and out is not None:
        scores = open_scores(table)
        rule = PartRule.for_table(part, views, scores) if part else None
        _decide_table(scores, found, out, rule)
        return
    if out is None:
        say("nothing was written; --out FOLDER writes an inspector with these thresholds")
        return
    if found.has_lost_int8:
        note("the INT8 model is left out: its margin was measured for the old thresholds")
    say(f"-> {out}; run `sihwa verify {out}` to prove the faster runtimes for it")


def _decide_table(scores: ScoreRows, found: "Redecided", out: Path, rule: PartRule | None) -> None:
    if rule:
        require_no_parts(out)
    moved = decide_again(scores, found.before, found.after, out)
    for change, count in sorted(moved.items()):
        say(f"{count:,} images: {change}")
    say(f"{moved.total():,} decisions changed -> {out}")
    if rule:
        counts = write_parts(out, open_scores(out).tables(), rule)
        listed = ", ".join(f"{count} {name}" for name, count in sorted(counts.decisions.items()))
        say(f"parts: {listed} -> {counts.path}")
        if counts.alone:
            note(f"{counts.alone} images name no part; each is one by itself")


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
        if policy.least_probability * len(policy.classes) <= 1:  # no top class is below
            say("no image is reviewed for a low probability")
        else:
            say(f"reviewed below a probability of {policy.least_probability:.4g}")
    for claim in found.fitted.claims:
        say(claim.sentence())


def show_costs(found: "Redecided", costs: CostConfig) -> None:
    """Print what 1,000 parts cost under the policy and under two plain ones."""
    from sihwa.decision.fit_policy import fit_policy
    from sihwa.decision.trade_off import cost_per_part

    plain = fit_policy(EvenOddsConfig("even_odds", costs.unknown_rate), found.images).policy
    ours, theirs = (cost_per_part(one, found.images, costs) for one in (found.fitted.policy, plain))
    say(
        f"cost of 1,000 parts, with the rates of the calibration images: {1000 * ours:,.0f}; with "
        f"even_odds {1000 * theirs:,.0f}, if all are reviewed {1000 * costs.review:,.0f}"
    )
