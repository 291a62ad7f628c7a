"""Runs side by side, for a terminal of 80 columns."""

from collections.abc import Iterator

from rich import box
from rich.table import Table
from rich.text import Text

from sihwa.evaluation import Figure
from sihwa.qualification.compare_runs import ComparedRuns
from sihwa.qualification.evaluation_text import NAMES
from sihwa.qualification.finished_run import FIGURES
from sihwa.reporting.figure_rows import percent, percent_interval
from sihwa.terminal.names import printable


def runs_table(compared: ComparedRuns) -> Table:
    """Return one row per run: the settings that differ, and figures with their intervals."""
    names = [name for name in FIGURES if any(name in run.figures for run in compared.runs)]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("Run", justify="right", no_wrap=True)
    table.add_column("Settings", overflow="fold")
    for name in names:
        table.add_column(NAMES[name], justify="right", no_wrap=True)
    for place, run in enumerate(compared.runs, start=1):
        settings = [printable(f"{name}={run.settings[name]}") for name in compared.differing]
        figures = (_figure(run.figures.get(name)) for name in names)
        table.add_row(str(place), Text("\n".join(settings) or "none"), *figures)
    confidence = next(iter(compared.runs[0].figures.values())).confidence
    table.caption = Text(
        f"settings that differ; intervals hold with a confidence of {confidence:.0%}",
        justify="left",
    )
    return table


def comparison_lines(compared: ComparedRuns) -> Iterator[str]:
    """Yield the folder of each run, spreads over seeds, and which of two runs is better."""
    for place, run in enumerate(compared.runs, start=1):
        yield f"run {place}: {run.folder}"
    for spread in compared.spreads:
        figures = ", ".join(
            f"{NAMES[name].lower()} {100 * mean:.2f} % (± {100 * deviation:.2f})"
            for name, (mean, deviation) in spread.figures.items()
        )
        runs = ", ".join(str(place + 1) for place in spread.runs)
        yield f"runs {runs} differ by seed alone; mean and deviation: {figures}"
    for pair in compared.pairs:
        verdicts = "; ".join(f"{NAMES[one.name].lower()} {one.verdict}" for one in pair.verdicts)
        yield f"run {pair.run + 1} against run {pair.other + 1}, same test images: {verdicts}"
    if not compared.pairs:
        yield "no two runs have the same test images, so none is called better or worse"


def _figure(figure: Figure | None) -> str:
    if figure is None or figure.value is None:
        return "–"
    interval = percent_interval(figure.low, figure.high).removesuffix(" %")
    return f"{percent(figure.value)}\n{interval}"
