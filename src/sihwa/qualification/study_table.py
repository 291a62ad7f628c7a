"""Read an agreement study: who decided what about which part, and what the part really is."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from sihwa.dataset.table_file import TableRow, read_any_csv
from sihwa.decision import ACCEPT, REJECT, REVIEW, Outcome
from sihwa.errors import ConfigError, DatasetError

COLUMNS = ("part", "appraiser", "trial", "decision", "reference")
ACCEPT_WORDS = ("accept", "accepted", "good", "ok", "pass", "양품", "합격")
REJECT_WORDS = ("reject", "rejected", "bad", "ng", "nok", "fail", "불량", "불합격")
_WIDE = re.compile(r"(?P<appraiser>.+)[-_ ](?P<trial>\d+)")
"""Heading of a wide table as in the AIAG manual: A-1, A-2, B-1."""


class Rating(NamedTuple):
    """One decision about one part."""

    part: str
    appraiser: str
    trial: str
    decision: Outcome


@dataclass(frozen=True)
class Ratings:
    """All decisions of a study, and the truth."""

    ratings: list[Rating]
    reference: dict[str, Outcome]
    """`accept` for a good part, `reject` for a bad one."""
    notes: list[str] = field(default_factory=list)


def read_study(path: Path, names: Mapping[str, str], accept: Sequence[str] = ()) -> Ratings:
    """Read a study, long (one decision a row) or wide (columns A-1, A-2, B-1 beside part).

    Args:
        path: A CSV or TSV.
        names: Heading of each column that is not called as in `COLUMNS`.
        accept: Words for a good part; every other word but review is then a bad one. Without any,
            only the known words are taken.

    Raises:
        DatasetError: It cannot be read, lacks a column, holds another word, two decisions for one
            trial, or two references for one part.
        ConfigError: `names` names a column that there is not.
    """
    rows, notes = read_any_csv(path)
    found = _headings(list(rows[0].cells), names)
    missing = [name for name in ("part", "reference") if name not in found]
    if missing:
        raise DatasetError(
            f"{path}: expected the columns part and reference, and appraiser, trial, decision, or "
            f"one column for each trial such as A-1; missing {' and '.join(missing)}. Name them "
            f"with --column {missing[0]}=HEADING"
        )
    words = _Words(path, accept)
    reference: dict[str, Outcome] = {}
    for row in rows:
        truth = words.read(row, found["reference"])
        part = _cell(path, row, found["part"])
        if truth == REVIEW or reference.setdefault(part, truth) != truth:
            raise DatasetError(
                f"{path}, {row.place}: part {part} has more than one reference, or review as one; "
                "each part is either good or bad"
            )
    if "decision" in found:
        ratings = [_long(path, row, found, words) for row in rows]
    else:
        ratings = list(_wide(path, rows, found, words))
    require_once(ratings, path)
    return Ratings(ratings, reference, [*notes, *words.notes()])


def require_once(ratings: Iterable[Rating], path: Path) -> None:
    """Refuse two decisions of one appraiser about one part in one trial."""
    seen: set[tuple[str, ...]] = set()
    for one in ratings:
        if one[:3] in seen:
            raise DatasetError(
                f"{path}: {one.appraiser} decided part {one.part} twice in trial {one.trial}; "
                "give each trial its own number"
            )
        seen.add(one[:3])


class _Words:
    """Turns words into decisions, and keeps those that are bad only because they are not good."""

    def __init__(self, path: Path, accept: Sequence[str]) -> None:
        self._path = path
        self._accept = {word.casefold() for word in accept} or {*ACCEPT_WORDS}
        self._only_known = not accept
        self._rejected: dict[str, None] = {}

    def read(self, row: TableRow, heading: str) -> Outcome:
        given = _cell(self._path, row, heading)
        word = given.casefold()
        if word in self._accept:
            return ACCEPT
        if word == REVIEW:
            return REVIEW
        if self._only_known and word not in REJECT_WORDS:
            raise DatasetError(
                f"{self._path}, {row.place}: expected a word such as good or bad, got "
                f"{given[:40]!r}; name those for a good part with --accept WORDS"
            )
        self._rejected[given] = None
        return REJECT

    def notes(self) -> list[str]:
        if self._only_known or not self._rejected:
            return []
        return [f"taken for bad: {', '.join(list(self._rejected)[:10])[:200]}"]


def _headings(given: Sequence[str], names: Mapping[str, str]) -> dict[str, str]:
    """Return the heading of each known column that the table has."""
    lower = {heading.casefold(): heading for heading in reversed(given)}
    for name, heading in names.items():
        if heading not in given:
            raise ConfigError(
                f"--column {name}={heading}: the table has only {', '.join(given)[:200]}"
            )
    return {name: lower[name] for name in COLUMNS if name in lower} | dict(names)


def _cell(path: Path, row: TableRow, heading: str) -> str:
    cell = row.cells[heading].strip()
    if not cell:
        raise DatasetError(f"{path}, {row.place}: {heading} is empty")
    return cell


def _long(path: Path, row: TableRow, found: Mapping[str, str], words: _Words) -> Rating:
    if "appraiser" not in found:
        raise DatasetError(
            f"{path}: decisions have no column appraiser; name it with --column appraiser=HEADING"
        )
    part, appraiser = (_cell(path, row, found[name]) for name in ("part", "appraiser"))
    trial = _cell(path, row, found["trial"]) if "trial" in found else "1"
    return Rating(part, appraiser, trial, words.read(row, found["decision"]))


def _wide(
    path: Path, rows: Sequence[TableRow], found: Mapping[str, str], words: _Words
) -> Iterable[Rating]:
    """Yield the decisions of a wide table; one without such columns gives references alone."""
    headings = [name for name in rows[0].cells if name not in found.values()]
    trials = [(name, match) for name in headings if (match := _WIDE.fullmatch(name))]
    for row in rows:
        part = _cell(path, row, found["part"])
        for name, match in trials:
            yield Rating(part, match["appraiser"], match["trial"], words.read(row, name))
