"""One run's hold on its table: the lock, the settings of its rows, the shards, the summary."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sihwa.errors import ConfigError
from sihwa.inspector import Card, RuntimeChoice
from sihwa.scoring.options import ReadOptions
from sihwa.scoring.rows import ROW_VERSION, Row, row_schema
from sihwa.scoring.shards import ShardFolder
from sihwa.scoring.summary import ScoreSummary
from sihwa.scoring.table_copy import SUFFIXES, TableCopy
from sihwa.storage import hold, write_json

_OTHER_SUFFIXES = (".json", ".xlsx", ".tsv", ".txt", ".zip", ".tar")
_FLAGS = {
    "inspector": "INSPECTOR",
    "thresholds": "INSPECTOR",
    "runtime": "--runtime, --device or --precision; auto depends on --batch-size and on proofs",
    "max_pixels": "--max-pixels",
    "pages": "--pages",
}
"""How a user changes each setting that all rows of a table share."""


def table_folder(out: Path) -> Path:
    """Return where the shards, the summary and the evidence of a table are.

    Raises:
        ConfigError: `out` has no name, or the suffix of another kind of file.

    >>> str(table_folder(Path("scores.csv"))), str(table_folder(Path("scores")))
    ('scores.csv.shards', 'scores')
    """
    suffix = out.suffix.lower()
    # to Path, a suffix alone is a name, and the empty name is the current folder
    if suffix in _OTHER_SUFFIXES or out.name.lower() in ("", *SUFFIXES, *_OTHER_SUFFIXES):
        raise ConfigError(
            f"--out: expected a name that ends in {', '.join(SUFFIXES)}, or the name of a folder; "
            f"got {str(out)!r}"
        )
    return out.with_name(f"{out.name}.shards") if suffix in SUFFIXES else out


def evidence_folder(out: Path) -> Path:
    """Return where the overlays of a table are."""
    return table_folder(out) / "evidence"


def refuse_own_source(words: Sequence[str], out: Path) -> None:
    """Refuse a run that reads its own table as a list of images.

    Raises:
        ConfigError: A source is the table, or lies in its folder.
    """
    # realpath, because Path.resolve raises on a link to itself
    own = [os.path.realpath(place) for place in {out, table_folder(out)}]
    for word in words:
        if any(map(Path(os.path.realpath(word)).is_relative_to, own)):
            raise ConfigError(
                f"--out {out}: the source {word} is part of this table. Name another --out"
            )


class ScoreTable:
    """A table that this process alone writes.

    Attributes:
        path: What the user named.
        shards: Its rows.
    """

    def __init__(self, path: Path, card: Card, settings: dict[str, Any]) -> None:
        schema = row_schema(card.classes)
        self.path = path
        self._folder = table_folder(path)
        self.shards = ShardFolder(self._folder / "rows", schema)
        self._copy = TableCopy(path, schema) if path != self._folder else None
        self._summary_path = self._folder / "summary.json"
        self._settings = settings
        self._grows = False

    def begin(self, *, resume: bool, watch: bool) -> None:
        """Check that this run may write here, and note its settings.

        Raises:
            ConfigError: A table exists and `resume` is false, or its settings differ.
            StorageError: The disk refuses.
        """
        if self._summary_path.exists() or (self._copy and self.path.exists()):
            if not resume:
                raise ConfigError(
                    f"{self.path} exists already. Add --resume to continue it, or name another "
                    "--out"
                )
            self._refuse_other_settings(self._read_settings())
        self.shards.remove_unfinished()
        self._grows = watch and self._copy is not None and self._copy.can_grow
        self._write_summary("unfinished", None)

    def start_copy(self) -> None:
        """Under watch, write the rows so far to the file; later ones are appended to it."""
        if self._copy and self._grows:
            self._copy.write(self.shards.tables())

    def append(self, rows: Sequence[Row]) -> None:
        """Add rows; a kill loses those of the last seconds, and never part of a shard.

        Raises:
            StorageError: The disk refuses.
        """
        shard = self.shards.append(rows)
        if self._copy and self._grows and shard is not None:
            self._copy.append(shard)

    def finish(self, summary: ScoreSummary) -> None:
        """Write the last shard, then the file that the user named, then the summary."""
        self.shards.close()
        if self._copy:
            self._copy.write(self.shards.tables())
        self._write_summary("stopped" if summary.stopped else "complete", summary)

    def _write_summary(self, state: str, summary: ScoreSummary | None) -> None:
        counts = {} if summary is None else summary.as_dict()
        write_json(self._summary_path, {"state": state, "settings": self._settings, **counts})

    def _read_settings(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self._summary_path.read_bytes())["settings"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ConfigError(
                f"{self.path}: cannot resume without a readable {self._summary_path}, which holds "
                "the settings of its rows. Name another --out"
            ) from error

    def _refuse_other_settings(self, old: dict[str, Any]) -> None:
        for name, value in self._settings.items():
            if old.get(name) != value:
                how = _FLAGS.get(name, "version of this program")
                raise ConfigError(
                    f"{self.path} was begun with {name} {old.get(name)}, and this run has {value}. "
                    f"Use the old one again ({how}), or name another --out"
                )


@contextmanager
def open_table(
    path: Path, card: Card, choice: RuntimeChoice, options: ReadOptions
) -> Iterator[ScoreTable]:
    """Lock a table; the kernel releases the lock however the process ends.

    Raises:
        ConfigError: `path` is not the name of a table.
        StorageError: Another process writes it, or the disk refuses.
    """
    settings = {
        "row_version": ROW_VERSION,
        "inspector": card.id,
        "thresholds": card.thresholds_id,
        "runtime": str(choice),
        "max_pixels": options.max_pixels,
        "pages": options.pages,
    }
    with hold(table_folder(path) / ".lock", path, "Wait for it, or name another --out"):
        yield ScoreTable(path, card, settings)
