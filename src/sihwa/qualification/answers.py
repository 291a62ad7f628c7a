"""What an inspector says of labelled images, from the images or from a score table.

Axes: N images, K classes.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import numpy as np
from numpy.typing import NDArray

from sihwa.dataset import find_components
from sihwa.dataset.item import Item
from sihwa.decision import REVIEW
from sihwa.errors import DatasetError
from sihwa.inspector import Card, Inspector, card_policy
from sihwa.inspector.inspector import ONE_COLOUR
from sihwa.qualification.labelled import PROBABILITY, Labelled
from sihwa.scoring import Entry, LocalEngine, ReadOptions, ScoreOptions
from sihwa.scoring.block import blocks_of
from sihwa.terminal.progress import progress_bar

_NAMED = 20


@dataclass(frozen=True, eq=False)
class Answers:
    """What an inspector said of N labelled images."""

    classes: tuple[str, ...]
    accept_classes: tuple[str, ...]
    label: NDArray[np.int64]
    """True class, (N,), each in [0, K)."""
    probability: NDArray[np.float32]
    """(N, K); a row is NaN where the image has no top class."""
    outcome: NDArray[np.str_]
    """`accept`, `reject` or `review`, (N,)."""
    group: list[str]
    """Group of each image, N names; byte-identical images are in one."""
    faults: dict[str, str]
    """Images that could not be read, each with the reason; they are in review."""
    notes: tuple[str, ...] = ()

    @property
    def has_top(self) -> NDArray[np.bool_]:
        """Whether the image has a top class, (N,)."""
        return np.asarray(np.isfinite(self.probability).all(1))

    @property
    def is_wrong(self) -> NDArray[np.bool_]:
        """Whether the top class is not the true class, (N,); having none counts as wrong."""
        return np.asarray(~self.has_top | (self.probability.argmax(1) != self.label))

    @property
    def is_good(self) -> NDArray[np.bool_] | None:
        """Whether the true class is an accept class, (N,); None without accept classes."""
        if not self.accept_classes:
            return None
        return np.isin(self.classes, self.accept_classes)[self.label]


def inspect_labelled(
    inspector: Inspector, labelled: Labelled, read: ReadOptions, batch_size: int
) -> Answers:
    """Inspect labelled images, some blocks at a time.

    Raises:
        DatasetError: The inspector does not know a label.
    """
    card, items = inspector.card, labelled.items
    label = _class_numbers(items, card)
    options = ScoreOptions(read=read, batch_size=batch_size)
    probability = np.full((len(items), len(card.classes)), np.nan, np.float32)
    outcome: list[str] = []
    content: list[str] = []
    faults: dict[str, str] = {}
    entries = blocks_of((Entry(item.path) for item in items), options.block_size)
    engine = LocalEngine(inspector, options)
    with (
        progress_bar("inspecting", len(items)) as advance,
        closing(engine.score(entries, Path(), Event())) as done,
    ):
        for files, rows in done:
            for row in rows:
                item = items[len(outcome)]
                if row["error"] is not None:
                    faults[item.path] = str(row["error"])
                if row["top_class"] is not None:
                    probability[len(outcome)] = [row[PROBABILITY + one] for one in card.classes]
                outcome.append(str(row["decision"]))
                content.append(str(row["sha256"] or item.path))
            advance(files)
    group = find_components([item.group for item in items], content)
    return Answers(
        card.classes, card.accept_classes, label, probability, np.array(outcome), group, faults
    )


def answers_of_scores(card: Card, labelled: Labelled) -> Answers:
    """Return what a labelled score table says; nothing is inspected.

    The decisions are those of the table if its rows were scored under the thresholds of the card.
    Otherwise its probabilities are decided again.

    Raises:
        DatasetError: Classes or numbers of the table are not those of the inspector.
    """
    items, rows = labelled.items, labelled.scores or []
    label = _class_numbers(items, card)
    _require_same_classes(rows[0], card)
    columns = [PROBABILITY + name for name in card.classes]
    probability = np.array([[_number(row, one) for one in columns] for row in rows], np.float32)
    unknown = np.array([_number(row, "unknown") for row in rows], np.float32)
    notes = []
    if all(row.get("thresholds") == card.thresholds_id and row.get("decision") for row in rows):
        outcome = [row["decision"] for row in rows]
    else:
        outcome = [str(one.outcome) for one in card_policy(card).decide(probability, unknown)]
        blank = [row.get("reason") == ONE_COLOUR.reason for row in rows]
        outcome = [REVIEW if one else given for one, given in zip(blank, outcome, strict=True)]
        notes.append(
            "the table does not say that it was scored under these thresholds: its probabilities "
            "were decided again"
        )
    others = sorted({one for row in rows if (one := row.get("inspector")) and one != card.id})
    if others:
        notes.append(
            f"the table was scored by inspector {', '.join(others[:3])}, not by {card.id}: the "
            "figures hold for this one only if its network is the same"
        )
    content = [row.get("sha256") or row["path"] for row in rows]
    return Answers(
        classes=card.classes,
        accept_classes=card.accept_classes,
        label=label,
        probability=np.where(np.isfinite(unknown)[:, None], probability, np.float32(np.nan)),
        outcome=np.array(outcome),
        group=find_components([item.group for item in items], content),
        faults={row["path"]: row["error"] for row in rows if row.get("error")},
        notes=tuple(notes),
    )


def _class_numbers(items: Sequence[Item], card: Card) -> NDArray[np.int64]:
    """Return the number of each image's class; refuse one that the inspector does not know."""
    number = {name: place for place, name in enumerate(card.classes)}
    strangers = sorted({item.label for item in items} - number.keys())
    if strangers:
        raise DatasetError(
            f"inspector {card.id} does not know {_listed(strangers)}; it knows "
            f"{_listed(card.classes)}. "
            "Name the labels as the inspector does, or leave such images out"
        )
    return np.array([number[item.label] for item in items], np.int64)


def _require_same_classes(row: Mapping[str, str], card: Card) -> None:
    found = [name.removeprefix(PROBABILITY) for name in row if name.startswith(PROBABILITY)]
    if set(found) != set(card.classes):
        raise DatasetError(
            f"the score table has probabilities of {_listed(found)}, the inspector knows "
            f"{_listed(card.classes)}; name the inspector that scored it"
        )


def _number(row: Mapping[str, str], column: str) -> float:
    """Return a number of a score table; NaN where there is none."""
    text = row.get(column, "").strip()
    try:
        value = float(text) if text else math.nan
    except ValueError as error:
        raise DatasetError(
            f"the score table: {column} of {row['path']} must be a number, got {text[:40]!r}"
        ) from error
    return value if math.isfinite(value) else math.nan


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(map(repr, names[:_NAMED])) + more
