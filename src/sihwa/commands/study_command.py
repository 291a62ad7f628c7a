"""The command `sihwa study`: does an inspector agree with people, and with itself?"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from sihwa.errors import ConfigError
from sihwa.storage import write_json
from sihwa.terminal.console import a_path, note, say
from sihwa.terminal.guard import begin_work
from sihwa.terminal.names import counted

if TYPE_CHECKING:
    from sihwa.qualification.repeatability import Repeatability

_SHOWN = 5
_WIDTH = 100


def study(
    source: Annotated[
        Path,
        typer.Argument(
            parser=a_path,
            metavar="SOURCE",
            help="The study, a CSV; with --simulate a folder of images, an archive or one image.",
            show_default=False,
        ),
    ],
    scores: Annotated[
        Path | None,
        typer.Option(
            parser=a_path,
            metavar="<path>",
            help="Table of sihwa score: the inspector is one more appraiser.",
            show_default=False,
        ),
    ] = None,
    part: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="Finds the part in the path of an image: what its groups capture.",
            show_default=False,
        ),
    ] = None,
    trial: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="Finds the trial in the path of a scored image. Without it, there is one.",
            show_default=False,
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=HEADING",
            help="A column that is not called part, appraiser, trial, decision or reference; may "
            "be repeated.",
            show_default=False,
        ),
    ] = None,
    accept: Annotated[
        str | None,
        typer.Option(
            metavar="WORDS",
            help="Words for a good part, with commas; all others but review are then bad.  "
            "\\[default: accept, good, ok, pass, 양품, 합격]",
            show_default=False,
        ),
    ] = None,
    review_as: Annotated[
        str,
        typer.Option(
            help="A review counts as itself (review), neither right nor wrong, or reject."
        ),
    ] = "review",
    simulate: Annotated[
        Path | None,
        typer.Option(
            parser=a_path,
            metavar="INSPECTOR",
            help="Inspect the images of SOURCE again under small changes instead.",
            show_default=False,
        ),
    ] = None,
    trials: Annotated[
        int, typer.Option(min=1, max=1000, help="simulate: of each change and image.")
    ] = 5,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="simulate: of the changes.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            parser=a_path,
            metavar="FILE.json",
            help="Write all figures, with limits and their source.",
            show_default=False,
        ),
    ] = None,
) -> None:
    r"""Attribute agreement study (AIAG MSA): do appraisers and inspector agree?

    The CSV has one decision a row: part, appraiser, trial, decision,
    reference; or columns A-1, A-2, B-1 beside part and reference. Each
    appraiser is measured against itself, the reference and the others, and
    graded by the limits of the AIAG manual. docs/qualification.md explains
    the figures.

    With --simulate, before a trial on the line: each image is inspected
    again under small changes of light, focus and place.

    [bold]Examples[/]

    sihwa study study.csv --out study.json

    sihwa study study.csv --column decision=판정 --accept 양품

    sihwa study study.csv --scores scores.csv --part "part(\d+)" --trial "trial(\d+)"

    sihwa study --simulate outputs/latest/inspector parts/ --trials 10
    """
    if out is not None and out.suffix.lower() != ".json":
        raise ConfigError(f"--out must name a .json file, got {str(out)!r}")
    if simulate is not None:
        if scores or trial or column or accept:
            raise ConfigError("--simulate takes no --scores, --trial, --column and --accept")
        _simulate(simulate, source, part, trials, seed, out)
        return
    if scores is None and (part or trial):
        raise ConfigError("--part and --trial find part and trial of --scores; add it")
    if scores is not None and part is None:
        raise ConfigError(r'--scores needs --part REGEX, such as --part "part(\d+)"')
    if review_as not in ("review", "reject"):
        raise ConfigError(f"--review-as must be one of review, reject; got {review_as!r}")
    # here, because they import SciPy, which other commands do not need
    from sihwa.qualification.agreement import measure_agreement
    from sihwa.qualification.study_inspector import COLUMNS, add_inspector
    from sihwa.qualification.study_table import read_study
    from sihwa.qualification.study_text import agreement_table
    from sihwa.scoring.path_pattern import PathPattern
    from sihwa.scoring.score_table import open_scores

    begin_work()
    ratings = read_study(source, _headings(column or ()), _words(accept))
    if scores is not None and part is not None:
        rows = open_scores(scores).rows(COLUMNS)
        finds = PathPattern("--part", part), trial and PathPattern("--trial", trial)
        ratings = add_inspector(ratings, rows, finds[0], finds[1] or None, scores)
    found = measure_agreement(ratings, review_as_reject=review_as == "reject")
    Console(width=_WIDTH).print(agreement_table(found), highlight=False)
    for line in found.notes:
        note(f"note: {line}")
    _write(out, {"kind": "agreement", "source": str(source), **asdict(found)})


def _simulate(
    inspector: Path, source: Path, part: str | None, trials: int, seed: int, out: Path | None
) -> None:
    from sihwa.inspector import load_inspector
    from sihwa.inspector.image_list import list_images
    from sihwa.qualification.repeatability import RepeatabilityOptions, measure_repeatability
    from sihwa.qualification.study_text import repeatability_table
    from sihwa.scoring.path_pattern import PathPattern

    options = RepeatabilityOptions(trials, seed, PathPattern("--part", part) if part else None)
    paths = list_images(inspector, source, f"sihwa study --simulate {inspector} FOLDER")
    loaded = load_inspector(inspector, batch_size=trials)
    begin_work()
    found = measure_repeatability(loaded, paths, options)
    Console(width=_WIDTH).print(repeatability_table(found), highlight=False)
    for one in found.flipping[:_SHOWN]:
        turned = ", ".join(f"{name} {count}" for name, count in one.flips.items() if count)
        say(f"flips from {one.decision}: {one.path} ({turned} of {trials})")
    _note_unreadable(found)
    _write(out, {"kind": "repeatability", "source": str(source), **asdict(found)})


def _note_unreadable(found: "Repeatability") -> None:
    if found.unreadable_count:
        note(
            f"note: {counted(found.unreadable_count, 'image')} cannot be read, the first of them: "
            f"{found.unreadable[0]}"
        )


def _write(out: Path | None, document: dict[str, object]) -> None:
    if out is not None:
        write_json(out, document)
        say(f"-> {out}")


def _headings(given: Sequence[str]) -> dict[str, str]:
    from sihwa.qualification.study_table import COLUMNS

    pairs = [word.partition("=") for word in given]
    for name, sign, heading in pairs:
        if name not in COLUMNS or not sign or not heading:
            raise ConfigError(
                f"--column: expected NAME=HEADING with one of {', '.join(COLUMNS)} as NAME, got "
                f"{name + sign + heading!r}"
            )
    return {name: heading for name, _, heading in pairs}


def _words(accept: str | None) -> list[str]:
    if accept is None:
        return []
    words = [word.strip() for word in accept.split(",") if word.strip()]
    if not words:
        raise ConfigError(f"--accept: expected words with commas between, got {accept!r}")
    return words
