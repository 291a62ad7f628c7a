"""What a scoring run did, in counts whose memory does not grow with the rows."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sihwa.terminal.names import printable

_MOST_KINDS = 50
_MOST_LETTERS = 100


@dataclass(frozen=True)
class PartCounts:
    """A table of parts that was written."""

    path: Path
    decisions: Counter[str]
    alone: int
    """Images of which nothing names the part."""


@dataclass
class ScoreSummary:
    """Counts over the whole table, and what this run added to it.

    Attributes:
        images: Rows of the table.
        new_images: Rows that this run wrote; one that replaced another under watch counts once.
        classes: Images per top class, of those that have one.
        errors: Unreadable images per kind of error.
        changed: Files and lists scored again, because they changed or could not be read before.
        gone: Files with a row that no longer exist or are no longer named.
        listed_twice: Files that were named more than once; they have one row.
        overwritten: Under watch, files that changed after they were scored.
        left_out: Files not named like images, hidden and service names, links to folders that are
            listed elsewhere, special files.
        suffixes: Suffixes of the files not named like images.
        service: The hidden and service names.
        empty: Sources without any image; a watched folder may be empty.
        parts: The table of parts, if one was written.
        stopped: The run was stopped before all files had rows.
    """

    images: int = 0
    new_images: int = 0
    seconds: float = 0.0
    decisions: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    changed: int = 0
    gone: int = 0
    listed_twice: int = 0
    overwritten: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    suffixes: Counter[str] = field(default_factory=Counter)
    service: Counter[str] = field(default_factory=Counter)
    empty: list[str] = field(default_factory=list)
    stopped: bool = False
    parts: PartCounts | None = None

    @property
    def review_rate(self) -> float:
        """Share of rows that went to review, in [0, 1]."""
        return self.decisions["review"] / self.images if self.images else 0.0

    @property
    def kept(self) -> int:
        """Rows of earlier runs."""
        return self.images - self.new_images

    def count(self, row: Mapping[str, Any], times: int = 1) -> None:
        """Count one row; -1 times if it was removed."""
        self.images += times
        _add(self.decisions, str(row["decision"]), times)
        if not row["error"]:
            if row["top_class"]:  # none where the output is NaN
                _add(self.classes, str(row["top_class"]), times)
        else:
            kind = error_kind(str(row["error"]))
            more = kind not in self.errors and (times < 0 or len(self.errors) >= _MOST_KINDS)
            _add(self.errors, "other errors" if more else kind, times)

    def as_dict(self) -> dict[str, Any]:
        """Return what `summary.json` holds besides the settings."""
        return {
            "images": self.images,
            "decisions": dict(sorted(self.decisions.items())),
            "classes": dict(sorted(self.classes.items())),
            "errors": dict(sorted(self.errors.items())),
            "review_rate": round(self.review_rate, 6),
            "parts": dict(sorted(self.parts.decisions.items())) if self.parts else None,
            "this_run": {
                "images": self.new_images,
                "seconds": round(self.seconds, 3),
                "images_per_second": round(self.new_images / max(self.seconds, 1e-9), 1),
                "changed": self.changed,
                "gone": self.gone,
                "listed_twice": self.listed_twice,
                "overwritten": self.overwritten,
                "empty_sources": [printable(word) for word in self.empty],
                "left_out": dict(sorted(self.left_out.items())),
                "left_out_suffixes": dict(sorted(self.suffixes.items())),
                "left_out_service": dict(sorted(self.service.items())),
            },
        }


def _add(counts: Counter[str], name: str, times: int) -> None:
    counts[name] += times
    if not counts[name]:
        del counts[name]


def error_kind(error: str) -> str:
    """Return what errors of one kind have in common.

    >>> error_kind("20000 x 9000 pixels are more than the 100000000 allowed")
    'N x N pixels are more than the N allowed'
    >>> error_kind("damaged: Premature end of JPEG file")
    'damaged'
    >>> error_kind("many words " * 20)[-11:]
    'many words…'
    """
    # small numbers (16-bit, 3 pages) tell kinds apart; sizes do not
    kind = re.sub(r"(?<![^\W_])\d{3,}", "N", error.partition(":")[0].rstrip())
    return kind if len(kind) <= _MOST_LETTERS else kind[:_MOST_LETTERS].rpartition(" ")[0] + "…"
