"""The command `sihwa verify`; `scripts/verify.py` is the same."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from sihwa.images import MAX_PIXELS
from sihwa.inspector.verify import VerifiedInspector, verify_inspector
from sihwa.terminal.console import a_path, say
from sihwa.terminal.guard import begin_work


def verify(
    inspector: Annotated[
        Path,
        typer.Argument(
            parser=a_path,
            metavar="inspector",
            help="Inspector folder, or its .onnx file.",
            show_default=False,
        ),
    ],
    source: Annotated[
        Path | None,
        typer.Argument(
            parser=a_path,
            metavar="FOLDER",
            help="Images from the line: a folder or an archive. Without it, those kept inside.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(help="cpu, cuda or cuda:N; may be given more than once.  \\[default: cpu]"),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, help="Compare at most so many images, chosen evenly.")
    ] = 500,
    max_pixels: Annotated[
        int, typer.Option(min=1, help="Larger images are not read.")
    ] = MAX_PIXELS,
) -> None:
    """Prove on this machine that every installed runtime decides like the reference.

    Each runtime and precision is compared with float32 in ONNX Runtime on
    real images of several sizes. One that flips a decision, or differs by
    more than its tolerance, is refused from then on. The result is stored
    beside the inspector, where `score` finds it.

    [bold]Examples[/]

    sihwa verify outputs/latest/inspector

    sihwa verify inspector.onnx parts/ --limit 2000

    sihwa verify outputs/latest/inspector --device cpu --device cuda:0
    """
    begin_work()
    show_verified(verify_inspector(inspector, source, tuple(device or ("cpu",)), limit, max_pixels))


def show_verified(found: VerifiedInspector) -> None:
    """Print the verdict on each runtime, and what was left out."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("runtime", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for name in ("flips", "Δ prob.", "Δ unknown", "images/s", "by 32"):
        table.add_column(name, justify="right", no_wrap=True)
    for proof in found.proof:
        table.add_row(
            f"{proof.runtime} {proof.device} {proof.precision}",
            "[green]proven[/]" if proof.proven else "[red]refused[/]",
            f"{proof.flips} of {proof.images}",
            f"{proof.greatest_difference:.1e}",
            f"{proof.greatest_unknown_difference:.1e}",
            f"{proof.images_per_second_1:.0f}",
            f"{proof.images_per_second_32:.0f}",
        )
    Console().print(table)
    for proof in found.proof:
        if not proof.proven:
            say(f"{proof.verdict()}; worst image: {proof.worst_path}")
    for image in found.unreadable:
        say(f"unreadable: {image}")
    for reason in found.unusable:
        say(f"not usable: {reason}")
    comparisons = found.proof[0].images
    say(
        f"{comparisons} comparisons with float32 in ONNX Runtime on the CPU: {found.count} images, "
        "some of them also in other sizes. Δ: greatest difference in probability and in unknown "
        "score. images/s: one by one, and in batches of 32"
    )
    if found.left_out:
        say(f"{found.left_out} images beyond --limit were left out")
    if found.before > comparisons:
        say(f"this replaces a verification of {found.before} comparisons")
    say(f"-> {found.written}")
