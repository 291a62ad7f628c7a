"""The command `sihwa evaluate`: the figures of a finished inspector on new labelled images."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from sihwa.errors import ConfigError, DatasetError
from sihwa.images import MAX_PIXELS
from sihwa.terminal.console import a_path, note, say
from sihwa.terminal.guard import begin_work
from sihwa.terminal.names import counted

if TYPE_CHECKING:
    from sihwa.qualification.evaluate_inspector import Evaluated

_SHOWN = 20


def evaluate(
    inspector: Annotated[
        Path,
        typer.Argument(
            parser=a_path,
            metavar="INSPECTOR",
            help="Inspector folder, or its .onnx file.",
            show_default=False,
        ),
    ],
    labelled: Annotated[
        Path,
        typer.Argument(
            parser=a_path,
            metavar="LABELLED",
            help="A folder or .zip with a folder per class, a table with the columns path and "
            "label, or a score table of this inspector with a column of labels.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", parser=a_path, metavar="FILE.json", help="Write all figures there."
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            parser=a_path, metavar="OTHER", help="Another inspector, run on the same images."
        ),
    ] = None,
    label: Annotated[str, typer.Option(help="Column of a table that holds the labels.")] = "label",
    group: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Column of a table that tells the parts: intervals and tests count parts.  "
            "\\[default: group]",
            show_default=False,
        ),
    ] = None,
    group_pattern: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="What its ( ) match in the path tells the parts, such as 'part(\\d+)_'.",
            show_default=False,
        ),
    ] = None,
    root: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder that the paths of a table are relative to.  \\[default: the table's]",
            show_default=False,
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB", help="Images that are not read; may be repeated.", show_default=False
        ),
    ] = None,
    max_pixels: Annotated[
        int, typer.Option(help="Larger images are not decoded and go to review.")
    ] = MAX_PIXELS,
) -> None:
    r"""Measure a finished inspector on new labelled images.

    Prints escapes, overkill, review and accuracy with their intervals, and
    whether each is as it was in the training run. Images that cannot be
    read count as review. With --against, tells whether this inspector is
    better or worse than another one on the same images.
    docs/qualification.md explains the tests.

    [bold]Examples[/]

    sihwa evaluate outputs/latest/inspector new-parts

    sihwa evaluate inspector new-parts --group-pattern 'part(\d+)_'

    sihwa evaluate inspector labels.csv --group serial --out june.json

    sihwa evaluate inspector scores.csv --label inspected_as

    sihwa evaluate inspector new-parts --against old-inspector
    """
    if group is not None and group_pattern is not None:
        raise ConfigError("--group and --group-pattern both name the parts; give one of them")
    if out is not None and out.suffix.lower() != ".json":
        raise ConfigError(f"--out must name a .json file, got {out}")
    if out is not None and out.exists():
        raise ConfigError(f"--out: {out} exists already; name a new file")
    begin_work()
    # imports SciPy, which --help does not need
    from sihwa.qualification.evaluate_inspector import evaluate_inspector
    from sihwa.qualification.labelled import LabelSource
    from sihwa.scoring import ReadOptions
    from sihwa.storage import write_json

    setting = None if group is None else f"column:{group}"
    if group_pattern is not None:
        setting = f"pattern:{group_pattern}"
    source = LabelSource(labelled, label, setting, root, exclude or ())
    with _flags_named():
        found = evaluate_inspector(
            inspector, source, against=against, read=ReadOptions(max_pixels, "error")
        )
    _show(found)
    if out is not None:
        write_json(out, found.as_dict())
        say(f"-> {out}")


@contextlib.contextmanager
def _flags_named() -> Iterator[None]:
    """Name the flags in an error about settings: `dataset.root=FOLDER` becomes `--root FOLDER`."""
    try:
        yield
    except (ConfigError, DatasetError) as error:
        raise type(error)(_with_flags(str(error))) from error


def _with_flags(text: str) -> str:
    """Return a message with flags in the place of settings.

    >>> _with_flags("dataset.root: no image in x; see dataset.root=FOLDER")
    'no image in x; see --root FOLDER'
    >>> _with_flags('leave them out: "dataset.exclude=[*_mask.*]"')
    'leave them out: --exclude "*_mask.*"'
    """
    text = re.sub(r"^dataset\.(root|path): ", "", text)
    text = re.sub(r"; missing label (among .*)", r"; missing label \1; name it with --label", text)
    text = re.sub(r'"dataset\.exclude=\[(.*?)\]"', r'--exclude "\1"', text)
    text = text.replace("dataset.root=", "--root ").replace("dataset.exclude", "--exclude")
    text = text.replace("dataset.group=column:", "--group ")
    text = text.replace("dataset.group=pattern:", "--group-pattern ")
    return text.replace("dataset.group: no column", "--group: no column").replace(
        "dataset.group: ", "--group-pattern: "
    )


def _show(found: "Evaluated") -> None:
    """Print the figures, what has changed, and the images that could not be read."""
    from sihwa.qualification.evaluation_text import changes_table, paired_table
    from sihwa.reporting import metrics_table

    for line in found.notes:
        note(f"note: {_with_flags(line)}")
    console = Console()
    console.print(metrics_table(found.evaluation))
    if found.changes:
        console.print(changes_table(found.changes))
    if found.paired:
        console.print(paired_table(found.paired))
    images, groups = len(found.answers.group), len(set(found.answers.group))
    if groups < images:
        say(f"{counted(images, 'image')} of {counted(groups, 'part')}; intervals count parts")
    else:
        say(f"{counted(images, 'image')}, each taken for a part of its own")
    faults = found.answers.faults
    if faults:
        say(f"in review, because unreadable: {counted(len(faults), 'image')}")
    for path, reason in sorted(faults.items())[:_SHOWN]:
        say(f"  {path}: {reason}")
    if len(faults) > _SHOWN:
        say(f"  and {len(faults) - _SHOWN} more")
