"""The command `sihwa explain`: why an image was decided as it was."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sihwa.errors import ConfigError
from sihwa.inspector import load_inspector
from sihwa.terminal.console import a_path, note, say
from sihwa.terminal.guard import begin_work
from sihwa.terminal.names import printable
from sihwa.terminal.progress import progress_bar

_SUFFIX = ".explained.html"


def explain(
    inspector: Annotated[
        Path,
        typer.Argument(
            parser=a_path, metavar="inspector", help="Inspector folder.", show_default=False
        ),
    ],
    image: Annotated[
        Path, typer.Argument(parser=a_path, metavar="image", help="One image.", show_default=False)
    ],
    run: Annotated[
        Path | None,
        typer.Option(
            parser=a_path,
            metavar="RUN",
            help="Run folder, to show the nearest training images.  \\[default: the folder of the "
            "inspector, if it is one]",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            parser=a_path,
            metavar="PAGE.html",
            help=f"The page.  \\[default: NAME{_SUFFIX} here]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Explain one decision: evidence, probabilities, thresholds, nearest training images.

    The page shows the image beside a copy with the evidence outlined, so that
    the defect stays visible. It is one file and needs no network.

    [bold]Examples[/]

    sihwa explain outputs/latest/inspector parts/0042.png

    sihwa explain inspector parts/0042.png --run outputs/latest --out why.html
    """
    begin_work()
    page = out or Path(f"{image.stem}{_SUFFIX}")
    if not page.name.endswith(_SUFFIX) and page.exists():
        raise ConfigError(f"--out: {page} exists already; name a new page")
    from sihwa.qualification.explain import explain as explain_image
    from sihwa.qualification.explain_page import write_explanation

    folder = run or inspector.parent
    if run is not None and not (run / "manifest.parquet").is_file():
        raise ConfigError(f"--run: expected the folder of a run, with manifest.parquet, got {run}")
    known = folder if (folder / "manifest.parquet").is_file() else None
    loaded = load_inspector(inspector)
    with progress_bar("comparing with training images", None) as advance:
        found = explain_image(loaded, image, known, advance)
    write_explanation(page, found, loaded.card.id, list(loaded.card.classes))
    decision = found.inspection.decision
    say(f"{decision.outcome}: {decision.reason}")
    for line in found.rules:
        say(line)
    table = Table("class", "probability", box=None, padding=(0, 2, 0, 0))
    table.columns[1].justify = "right"
    pairs = zip(loaded.card.classes, found.inspection.probability.tolist(), strict=True)
    for name, share in sorted(pairs, key=lambda pair: -pair[1]):
        table.add_row(Text(printable(name)), f"{share:.4f}")
    Console().print(table)
    for one in found.neighbours:
        say(f"{one.similarity:.2f} {one.label}  {one.path}")
    if known is None:
        note("no run folder is at hand; --run RUN shows the nearest training images")
    say(f"-> {page}")
