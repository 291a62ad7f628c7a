"""Copies of an image: within a class, with two labels, and on both sides of a split."""

from collections.abc import Iterator, Sequence

from sihwa.audit.finding import Finding
from sihwa.audit.inventory import Inventory
from sihwa.terminal.names import counted


def find_identical(inventory: Inventory) -> Iterator[Finding]:
    """Yield byte-identical images: label conflicts, all in one finding; splits; and mere copies.

    Source: the sets are equal SHA-256 sums of whole files.
    """
    yield from _judge(inventory, inventory.alike, exact=True)


def find_near_identical(inventory: Inventory) -> Iterator[Finding]:
    """Yield near-identical images likewise, one of each content.

    Two labels are a warning, not a conflict: the difference may be the defect.

    Source: the sets are those that reading the data set found, see sihwa.dataset.near_copies.
    """
    yield from _judge(inventory, inventory.nearly_alike, exact=False)


def _judge(inventory: Inventory, sets: Sequence[list[int]], *, exact: bool) -> Iterator[Finding]:
    """Yield findings on sets of copies, byte-identical ones if `exact`, else near-identical."""
    word, verb = ("identical", "byte-identical") if exact else ("near-identical",) * 2
    label, split = inventory.label, inventory.manifest.split
    labels = [len({label[row] for row in rows}) for rows in sets]
    splits = [len({split[row] for row in rows}) for rows in sets]
    conflicts = [rows for rows, count in zip(sets, labels, strict=True) if count > 1]
    across = [rows for rows, count in zip(sets, splits, strict=True) if count > 1]
    copies = [rows for rows, *counts in zip(sets, labels, splits, strict=True) if counts == [1, 1]]
    if conflicts:
        yield Finding(
            kind=f"{word} images, two labels",
            severity="severe" if exact else "warning",
            message=f"{_sets(conflicts)} are {verb} but have different labels",
            advice="Correct the labels, or leave all of them out"
            if exact
            else "Look at them: a label may be wrong, or the defect is what differs",
            figure=float(sum(map(len, conflicts))),
            images=inventory.mark_sets(conflicts, keep=0 if exact else len(inventory)),
        )
    if across:
        yield Finding(
            kind=f"{word} images, two splits",
            severity="severe",
            message=f"{_sets(across)} are {verb} and lie in different splits, so the test shows "
            "images of training",
            advice="Put each set into one split, or leave out the copies",
            figure=float(sum(map(len, across))),
            images=inventory.mark_sets(across, keep=1),
        )
    if copies:
        yield Finding(
            kind=f"{word} images",
            severity="note",
            message=f"{_sets(copies)} of one class are {verb}; they count once and stay in one "
            "split",
            advice="Leave out the copies if they were not meant",
            figure=float(sum(len(rows) - 1 for rows in copies)),
            images=inventory.mark_sets(copies, keep=1),
        )


def _sets(sets: Sequence[list[int]]) -> str:
    images = counted(sum(map(len, sets)), "image")
    return f"{images} in {counted(len(sets), 'set')}"
