"""Images unlike the rest: size, stored form, exposure, sharpness, and those of a single colour.

Axes: N images.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from sihwa.audit.finding import Finding, Marked
from sihwa.audit.inventory import Inventory, commonest, listed
from sihwa.terminal.names import counted

_FEW = 0.05
"""A size or form that fewer share is odd, if most images share another one."""
_MOST = 0.8
_FAR = 6.0
"""Robust standard deviations from the median."""
_ENOUGH = 20
"""Images of a class from which its own median is taken, else that of all images."""
_CLIPPED = 0.5
_FLAT = 1.0


def find_odd_images(inventory: Inventory) -> Iterator[Finding]:
    """Yield images that are unreadable, of a single colour, badly exposed, blurred or odd.

    Source: outliers are those beyond 6 robust standard deviations (1.4826 times the median
    absolute deviation) from the median of their class: Iglewicz and Hoaglin 1993, "How to Detect
    and Handle Outliers". Each rule also needs a change that an eye would see.
    """
    facts = inventory.facts
    if dropped := inventory.manifest.dropped:
        yield Finding(
            kind="unreadable images",
            severity="warning",
            message=f"{counted(len(dropped), 'image')} cannot be read, such as {dropped[0]}",
            advice="Repair or remove them; a run stops there, unless dataset.on_unreadable=drop",
            figure=len(dropped) / (len(dropped) + len(inventory)),
            images=tuple(Marked(path=one.path, label="", note=one.reason) for one in dropped),
        )
    flat = inventory.fact(lambda one: one.contrast) < _FLAT
    yield from _odd(
        inventory, flat, "single colour", "warning", "hardly any contrast",
        "Leave them out, unless such parts exist",
    )  # fmt: skip
    yield from _exposure(inventory, ~flat)
    yield from _blur(inventory, ~flat)
    yield from _rare(inventory, "size", [f"{one.width} × {one.height}" for one in facts])
    yield from _rare(inventory, "stored form", [f"{one.mode}, {one.bits} bits" for one in facts])


def _odd(
    inventory: Inventory,
    hit: NDArray[np.bool_],
    kind: str,
    severity: str,
    what: str,
    advice: str,
    notes: Sequence[str] = (),
) -> Iterator[Finding]:
    rows = np.flatnonzero(hit).tolist()
    if rows:
        yield Finding(
            kind=kind,
            severity=severity,
            message=f"{counted(len(rows), 'image')} of {len(inventory):,}: {what}",
            advice=advice,
            figure=len(rows) / len(inventory),
            images=inventory.mark(rows, [notes[row] for row in rows] if notes else ()),
        )


def _exposure(inventory: Inventory, eligible: NDArray[np.bool_]) -> Iterator[Finding]:
    grey = inventory.fact(lambda one: one.grey)
    far = robust_distance(grey, inventory.manifest.label_index)
    clipped = {
        "over-exposed": (inventory.fact(lambda one: one.bright), 1),
        "under-exposed": (inventory.fact(lambda one: one.dark), -1),
    }
    notes = [f"mean grey {value:.0f}" for value in grey]
    for kind, (share, sign) in clipped.items():
        usual = np.median(share)
        hit = eligible & ((share > usual + _CLIPPED) | (sign * far > _FAR))
        yield from _odd(
            inventory, hit, kind, "note",
            f"much {'brighter' if sign > 0 else 'darker'} than the others of their class",
            "Leave them out, or take more such images if the line delivers them", notes,
        )  # fmt: skip


def _blur(inventory: Inventory, eligible: NDArray[np.bool_]) -> Iterator[Finding]:
    sharpness = inventory.fact(lambda one: one.sharpness)
    label = inventory.manifest.label_index
    far = robust_distance(np.log(sharpness + 1), label)
    hit = eligible & (far < -_FAR / 2) & (sharpness < 0.4 * class_median(sharpness, label))
    yield from _odd(
        inventory, hit, "blurred", "note", "much less sharp than the others of their class",
        "Check focus and motion; leave them out if the line delivers none",
        [f"sharpness {value:.1f}" for value in sharpness],
    )  # fmt: skip


def _rare(inventory: Inventory, what: str, values: Sequence[str]) -> Iterator[Finding]:
    usual, count = commonest(values)
    if count < _MOST * len(values):
        return
    rare = {value for value, n in Counter(values).items() if n <= _FEW * len(values)} - {usual}
    hit = np.array([value in rare for value in values])
    yield from _odd(
        inventory, hit, f"odd {what}", "note",
        f"another {what} than {usual}: {listed(sorted(rare), most=3)}",
        "Check where they come from", values,
    )  # fmt: skip


def robust_distance(value: NDArray[np.float64], label: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return how far each value is from the median of its class, in robust deviations, (N,).

    At least 2 % of the range counts as a deviation, so that values all alike have no outliers.

    >>> value = np.array([10.0, 20, 30, 40, 500] * 5)
    >>> bool(robust_distance(value, np.zeros(25, int))[4] > 6)
    True
    """
    spread = np.abs(value - class_median(value, label))
    least = 0.02 * max(float(np.ptp(value)), 1e-9)
    deviation = np.maximum(1.4826 * class_median(spread, label), least)
    return np.asarray((value - class_median(value, label)) / deviation)


def class_median(value: NDArray[np.float64], label: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the median of each image's class, (N,); that of all images for a small class."""
    median = np.full(len(value), np.median(value))
    for kind in np.unique(label):
        if (label == kind).sum() >= _ENOUGH:
            median[label == kind] = np.median(value[label == kind])
    return median
