"""Rows of score tables counted per lot, hour or day; memory grows with the periods alone."""

import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sihwa.decision import REJECT, REVIEW
from sihwa.errors import ConfigError, DatasetError
from sihwa.scoring.path_pattern import PathPattern

COLUMNS = ("path", "decision", "unknown", "inspector", "thresholds", "time")
KINDS = ("lot", "hour", "day")
MOST_PERIODS = 10_000
"""More are no lots: the pattern found the name of each image."""
_NAMED = 5


@dataclass
class Period:
    """The images of one lot, hour or day."""

    name: str
    since: str
    """When its first image was decided, UTC, ISO 8601."""
    images: int = 0
    rejected: int = 0
    reviewed: int = 0
    scored: int = 0
    """Images with an unknown score."""
    unknown_sum: float = 0.0
    unknown_squares: float = 0.0
    most: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    """Per kind, `rejected`, `reviewed` and `unknown`, the images of the highest unknown score."""

    def count(self, row: Mapping[str, Any]) -> None:
        """Count one row."""
        self.images += 1
        self.since = min(self.since, row["time"])
        unknown = row["unknown"]
        named = -1.0 if unknown is None else unknown, row["path"]
        if row["decision"] == REJECT:
            self.rejected += 1
            self._keep("rejected", named)
        if row["decision"] == REVIEW:
            self.reviewed += 1
            self._keep("reviewed", named)
        if unknown is not None:
            self.scored += 1
            self.unknown_sum += unknown
            self.unknown_squares += unknown * unknown
            self._keep("unknown", named)

    def _keep(self, kind: str, named: tuple[float, str]) -> None:
        kept = self.most.setdefault(kind, [])
        (heapq.heappush if len(kept) < _NAMED else heapq.heappushpop)(kept, named)


def count_periods(
    rows: Iterable[Mapping[str, Any]], kind: str, lot: PathPattern | None
) -> list[Period]:
    """Count rows per period; periods come in the order in which their first image was decided.

    Args:
        rows: Rows with the columns `COLUMNS`.
        kind: One of `KINDS`; an hour or a day is one of UTC.
        lot: Finds the lot in the path of an image.

    Raises:
        ConfigError: `kind` is another, or is lot without a pattern.
        DatasetError: A path does not match, a time cannot be read, there are too many periods, or
            rows come from several inspectors or thresholds.
    """
    name_of = _namer(kind, lot)
    periods: dict[str, Period] = {}
    source: tuple[str, str] | None = None
    for row in rows:
        given = row["inspector"], row["thresholds"]
        source = source or given
        if given != source:
            raise DatasetError(
                "expected rows of one inspector and its thresholds, got "
                f"{' with '.join(source)} and {' with '.join(given)}: each needs a baseline of its "
                "own, so name tables of one"
            )
        name = name_of(row)
        if name not in periods:
            if len(periods) == MOST_PERIODS:
                raise DatasetError(
                    f"more than {MOST_PERIODS} periods such as {name!r}: a period must hold many "
                    "images. Look at --lot, or take --by day"
                )
            periods[name] = Period(name, row["time"])
        periods[name].count(row)
    return sorted(periods.values(), key=lambda one: one.since)


def _namer(kind: str, lot: PathPattern | None) -> Callable[[Mapping[str, Any]], str]:
    if kind not in KINDS:
        raise ConfigError(f"--by must be one of {', '.join(KINDS)}; got {kind!r}")
    if kind == "lot":
        if lot is None:
            raise ConfigError('--by lot needs --lot REGEX, such as --lot "lot(\\d+)"')
        return lambda row: lot(row["path"])
    form = "%Y-%m-%d %H:00" if kind == "hour" else "%Y-%m-%d"
    return lambda row: _utc(row["time"]).strftime(form)


def _utc(time: str) -> datetime:
    try:
        return datetime.fromisoformat(time).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise DatasetError(
            f"expected a time such as 2026-01-02T03:04:05+00:00, got {time[:40]!r}"
        ) from error
