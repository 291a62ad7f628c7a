"""One decision per part, from the rows of its images.

A part is rejected if one of its images is, else reviewed if one is or a view is missing, else
accepted.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from sihwa.errors import ConfigError
from sihwa.scoring.lists import LIST_SUFFIXES, read_column
from sihwa.scoring.path_pattern import PathPattern
from sihwa.scoring.rows import file_of_row
from sihwa.scoring.score_table import ScoreRows
from sihwa.scoring.summary import PartCounts
from sihwa.scoring.table import TableCopy, is_table_file

PART_SCHEMA = pa.schema(
    [
        pa.field("part", pa.string(), nullable=False),
        pa.field("decision", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("images", pa.int32(), nullable=False),
        pa.field("rejected", pa.int32(), nullable=False),
        pa.field("reviewed", pa.int32(), nullable=False),
        pa.field("views", pa.int32(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("top_class", pa.string()),
        pa.field("inspector", pa.string(), nullable=False),
        pa.field("thresholds", pa.string(), nullable=False),
    ]
)
"""Columns of a table of parts; docs/row-contract.md says what each means."""

_WEIGHT = {"accept": 0, "review": 1, "reject": 2}


@dataclass(frozen=True)
class PartRule:
    """Which images show one part, and how many views a part must have."""

    name: Callable[[Mapping[str, Any]], tuple[str | None, str | None]]
    """Part and view of a row; None where its path or column does not say."""
    views: int | None = None
    """Each part must have so many different views, or images where views have no name."""

    @classmethod
    def for_sources(
        cls, setting: str, views: int | None, words: Iterable[str | Path]
    ) -> "PartRule":
        """Return the rule of a setting for images that these sources list.

        `column:NAME` is a column of the tables among them; else as `of`.

        Raises:
            ConfigError: As `of`; or no table is among the sources.
            DatasetError: A table has no such column.
        """
        rule = cls.of(setting, views)
        if not setting.startswith("column:"):
            return rule
        lists = [Path(word) for word in words if Path(word).suffix.lower() in LIST_SUFFIXES[2:]]
        if not lists:
            raise ConfigError(
                f"--part {setting}: expected a .csv or .parquet among the sources, or a pattern"
            )
        part: dict[str, str] = {}
        for one in lists:
            part |= read_column(one, setting.removeprefix("column:"))
        return cls(lambda row: (part.get(file_of_row(row)), None), views)

    @classmethod
    def of(cls, setting: str, views: int | None = None) -> "PartRule":
        r"""Return the rule of a setting.

        Args:
            setting: A regular expression on the path, whose groups name the part, and of which
                a group `(?P<view>...)` names the view; or `column:NAME`.
            views: At least 1; None asks for no number.

        Raises:
            ConfigError: It is not a regular expression, or views is below 1.
        """
        if views is not None and views < 1:
            raise ConfigError(f"--views must be at least 1, got {views}")
        if setting.startswith("column:"):
            column = setting.removeprefix("column:")
            return cls(lambda row: (row.get(column) or None, None), views)
        pattern = PathPattern("--part", setting)
        return cls(lambda row: pattern.find(row["path"]), views)

    @classmethod
    def for_table(cls, setting: str, views: int | None, scores: ScoreRows) -> "PartRule":
        """Return the rule of a setting for the rows of a score table.

        `column:NAME` is a column that was added to it; else as `of`.

        Raises:
            ConfigError: As `of`; or there is no such column.
        """
        column = setting.removeprefix("column:")
        if column != setting and column not in scores.schema.names:
            raise ConfigError(f"--part {setting}: {scores.path} has no column {column!r}")
        return cls.of(setting, views)


@dataclass
class _Part:
    first: Mapping[str, Any]
    """The row that decides: the first of the worst decision."""
    images: int = 0
    rejected: int = 0
    reviewed: int = 0
    views: set[str] = field(default_factory=set)

    def add(self, row: Mapping[str, Any], view: str | None) -> None:
        self.images += 1
        self.rejected += row["decision"] == "reject"
        self.reviewed += row["decision"] == "review"
        self.views.add(view or row["path"])
        if _WEIGHT[row["decision"]] > _WEIGHT[self.first["decision"]]:
            self.first = row


@dataclass
class Parts:
    """All parts, in the order in which they came."""

    rule: PartRule
    alone: int = 0
    """Images of which nothing names the part; each is a part by itself."""
    _parts: dict[str, _Part] = field(default_factory=dict)

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add the rows of images."""
        for row in rows:
            name, view = self.rule.name(row)
            self.alone += name is None
            key = row["path"] if name is None else name
            kept = {column: row.get(column) for column in _KEPT}
            part = self._parts.setdefault(key, _Part(kept))
            part.add(kept, view)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Return one row per part, as of `PART_SCHEMA`."""
        for name, part in self._parts.items():
            decision, reason = self._decide(part)
            yield {
                "part": name,
                "decision": decision,
                "reason": reason,
                "images": part.images,
                "rejected": part.rejected,
                "reviewed": part.reviewed,
                "views": len(part.views),
                **{column: part.first[column] for column in ("path", "top_class", *_IDS)},
            }

    def table(self) -> pa.Table:
        """Return the parts as a table."""
        return pa.Table.from_pylist(list(self.rows()), PART_SCHEMA)

    def _decide(self, part: _Part) -> tuple[str, str]:
        if part.rejected:
            return "reject", f"{part.rejected} of {part.images} images are rejected"
        if self.rule.views and len(part.views) < self.rule.views:
            return "review", f"{len(part.views)} of {self.rule.views} views"
        if part.reviewed:
            return "review", f"{part.reviewed} of {part.images} images need review"
        return "accept", "every image is accepted"


_IDS = ("inspector", "thresholds")
_KEPT = ("path", "decision", "top_class", *_IDS)


def write_parts(out: Path, tables: Iterable[pa.Table], rule: PartRule) -> PartCounts:
    """Write the parts of a score table beside it, in its form; whole or not at all.

    Args:
        out: The score table, as it was named.
        tables: Its rows.
        rule: Which images show one part.

    Raises:
        StorageError: The disk refuses.
    """
    parts = Parts(rule)
    for table in tables:
        parts.add(table.to_pylist())
    found = parts.table()
    path = parts_path(out)
    TableCopy(path, PART_SCHEMA).write([found])
    return PartCounts(path, Counter(found["decision"].to_pylist()), parts.alone)


def require_no_parts(out: Path) -> None:
    """Refuse to replace the parts of another table."""
    if (path := parts_path(out)).exists():
        raise ConfigError(f"{path} exists already; name another --out, or move it away")


def parts_path(out: Path) -> Path:
    """Return where the parts of a score table are written.

    >>> str(parts_path(Path("scores.csv"))), str(parts_path(Path("scores.2")))
    ('scores.parts.csv', 'scores.2/parts.parquet')
    """
    if is_table_file(out):
        return out.with_name(f"{out.stem}.parts{out.suffix}")
    return out / "parts.parquet"
