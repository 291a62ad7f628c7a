"""The command `sihwa monitor`: does the line still behave as in its baseline?"""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from sihwa.errors import ConfigError
from sihwa.storage import write_json
from sihwa.terminal.console import a_path, note, say
from sihwa.terminal.guard import begin_work
from sihwa.terminal.names import counted
from sihwa.terminal.progress import Advance, progress_bar

EXIT_ALARM = 3
"""Not 1 or 2, so that a script tells an alarm from an error."""
_DATA, _PAGE = "monitor.json", "monitor.html"
_SHOWN = 3
_STEP = 1024


def monitor(
    scores: Annotated[
        list[str],
        typer.Argument(
            metavar="SCORES...",
            help="Tables of sihwa score, of one inspector: folders of shards, .parquet, .csv, "
            ".jsonl.",
            show_default=False,
        ),
    ],
    by: Annotated[
        str | None,
        typer.Option(
            help="lot, hour or day (UTC).  \\[default: lot with --lot, else hour]",
            show_default=False,
        ),
    ] = None,
    lot: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="Finds the lot in the path of an image: what its groups capture.",
            show_default=False,
        ),
    ] = None,
    baseline: Annotated[
        int | None,
        typer.Option(
            help="First periods, in control, that give the limits.  \\[default: 20, or all but "
            "the last]",
            show_default=False,
        ),
    ] = None,
    last: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Only alarms of so many last periods count.  \\[default: all after the baseline]",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            parser=a_path,
            metavar="FOLDER",
            help="Write monitor.html and monitor.json there; older ones are replaced.",
            show_default=False,
        ),
    ] = None,
) -> None:
    r"""Control charts of a line: has it changed since its baseline?

    The reject rate and the review rate of each lot, hour or day get a
    p-chart, the unknown score an EWMA chart, with limits from the first
    periods. An alarm names chart, rule, periods, and the images that moved
    it. See docs/qualification.md.

    Exit codes, for cron: 0 in control, 3 an alarm, 1 and 2 an error.

    [bold]Examples[/]

    sihwa monitor scores.csv --lot "lot(\d+)" --out watch

    sihwa monitor line-1/ --by hour --last 1 --out watch || mail-to-qc

    sihwa monitor may.parquet june.parquet --by day --baseline 25
    """
    # here, because they import PyArrow and NumPy, which --help does not need
    from sihwa.qualification.lots import COLUMNS, count_periods
    from sihwa.qualification.monitor import watch
    from sihwa.scoring.path_pattern import PathPattern
    from sihwa.scoring.score_table import open_scores

    if lot is not None and by not in (None, "lot"):
        raise ConfigError(f"--lot finds lots; leave it out, or --by {by}")
    kind = by or ("lot" if lot is not None else "hour")
    tables = [a_path(word) for word in scores]
    begin_work()
    with progress_bar("reading", None, "rows") as advance:
        rows = itertools.chain.from_iterable(open_scores(one).rows(COLUMNS) for one in tables)
        counts = map(_counting(advance), rows)
        periods = count_periods(counts, kind, PathPattern("--lot", lot) if lot else None)
    found = watch(periods, baseline, last)
    for line in found.notes:
        note(f"note: {line}")
    for alarm in found.alarms:
        say(f"alarm: {alarm.line}")
        for path in alarm.images[:_SHOWN]:
            say(f"  {path}")
    images = sum(one.images for one in periods)
    told = (
        f"{counted(images, 'image')} in {counted(len(periods), 'period')} by {kind}, the first "
        f"{found.baseline} are the baseline"
    )
    say(f"{counted(len(found.alarms), 'alarm') if found.alarms else 'in control'}: {told}")
    if out is not None:
        from sihwa.qualification.monitor_page import write_monitor_page

        write_json(out / _DATA, {"by": kind, "sources": scores, **found.as_dict()})
        write_monitor_page(out / _PAGE, found, told)
        say(f"-> {out / _PAGE}")
    if found.alarms:
        raise SystemExit(EXIT_ALARM)


def _counting(advance: Advance) -> Callable[[Any], Any]:
    """Return a function that passes rows on and moves the bar every 1024 rows."""
    number = itertools.count(1)

    def count(row: Any) -> Any:  # noqa: ANN401 -- a row as it is
        if next(number) % _STEP == 0:
            advance(_STEP)
        return row

    return count
