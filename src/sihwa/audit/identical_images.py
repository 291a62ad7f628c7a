"""Byte-identical images: within a class, with two labels, and on both sides of a split."""

from collections.abc import Iterator

from sihwa.audit.finding import Finding
from sihwa.audit.inventory import Inventory, counted


def find_identical(inventory: Inventory) -> Iterator[Finding]:
    """Yield what SHA-256 tells: label conflicts, all in one finding; splits; and mere copies.

    Source: the sets are equal SHA-256 sums of whole files.
    """
    label, split = inventory.label, inventory.manifest.split
    conflicts = [rows for rows in inventory.alike if len({label[row] for row in rows}) > 1]
    copies = [rows for rows in inventory.alike if len({label[row] for row in rows}) == 1]
    across = [rows for rows in inventory.alike if len({split[row] for row in rows}) > 1]
    if conflicts:
        yield Finding(
            kind="identical images, two labels",
            severity="severe",
            message=f"{_sets(conflicts)} are byte-identical but have different labels",
            advice="Correct the labels, or leave all of them out",
            figure=float(sum(map(len, conflicts))),
            images=inventory.mark_sets(conflicts, keep=0),
        )
    if across:
        yield Finding(
            kind="identical images, two splits",
            severity="severe",
            message=f"{_sets(across)} are byte-identical and lie in different splits, so the test "
            "shows images of training",
            advice="Put each set into one split, or leave out the copies",
            figure=float(sum(map(len, across))),
            images=inventory.mark_sets(across, keep=1),
        )
    if copies:
        yield Finding(
            kind="identical images",
            severity="note",
            message=f"{_sets(copies)} of one class are byte-identical; they count once and stay in "
            "one split",
            advice="Leave out the copies if they were not meant",
            figure=float(sum(len(rows) - 1 for rows in copies)),
            images=inventory.mark_sets(copies, keep=1),
        )


def _sets(sets: list[list[int]]) -> str:
    images = counted(sum(map(len, sets)), "image")
    return f"{images} in {counted(len(sets), 'set')}"
