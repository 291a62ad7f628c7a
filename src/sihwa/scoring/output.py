"""One run's hold on its output: the lock, what the table was made with, and its summary."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sihwa.errors import ConfigError
from sihwa.inspector import Card, RuntimeChoice
from sihwa.scoring.block import ReadOptions
from sihwa.scoring.rows import ROW_VERSION, row_schema
from sihwa.scoring.summary import ScoreSummary
from sihwa.scoring.table import SUFFIXES, Table, open_table
from sihwa.storage import write_json
from sihwa.storage.lock import hold

_FLAGS = {
    "inspector": "INSPECTOR",
    "thresholds": "INSPECTOR",
    "runtime": "--runtime, --device or --precision; auto goes by --batch-size and what is proven",
    "max_pixels": "--max-pixels",
    "pages": "--pages",
}
"""What of its settings a user can change, and how."""


def settings_of(card: Card, choice: RuntimeChoice, options: ReadOptions) -> dict[str, Any]:
    """Return what all rows of a table have in common."""
    return {
        "row_version": ROW_VERSION,
        "inspector": card.id,
        "thresholds": card.thresholds_id,
        "runtime": str(choice),
        "max_pixels": options.max_pixels,
        "pages": options.pages,
    }


class Output:
    """A table that this process alone writes, with `summary.json`.

    Attributes:
        table: Where rows go.
        summary_path: `summary.json` in the folder of parts; `NAME.summary.json` beside a file.
    """

    def __init__(self, path: Path, table: Table, settings: dict[str, Any]) -> None:
        self.path = path
        self.table = table
        self.summary_path = _summary_of(path)
        self._settings = settings
        # as it is written: NAME.csv and NAME.CSV are two tables
        self._format = path.suffix[1:] if path.suffix.lower() in SUFFIXES else "parquet"

    def begin(self, resume: bool) -> None:
        """Check that this run may write here, and note its settings.

        Raises:
            ConfigError: Another table is there, or one made with other settings.
            StorageError: The disk refuses.
        """
        self._refuse_summary_of_another()
        if self.table.exists() or self.summary_path.exists():
            if not resume:
                raise ConfigError(
                    f"{self.path} is there already. Go on with it: --resume; or name another --out"
                )
            self._refuse_other_settings(self._read_settings())
        self.write_summary("unfinished", None)

    def write_summary(self, state: str, summary: ScoreSummary | None) -> None:
        """Write `summary.json`: settings, state, and the counts where they are known."""
        counts = {} if summary is None else summary.as_dict()
        head = {"state": state, "format": self._format, "settings": self._settings}
        write_json(self.summary_path, {**head, **counts})

    def _refuse_summary_of_another(self) -> None:
        """Refuse a .jsonl or .CSV beside a .csv of one name: one summary cannot speak of both."""
        try:
            format_ = json.loads(self.summary_path.read_bytes()).get("format", self._format)
        except (OSError, ValueError, AttributeError, RecursionError):
            return
        if format_ != self._format:
            raise ConfigError(
                f"{self.summary_path} is that of {self.path.stem}.{format_}, and {self.path.name} "
                "would have the same. Name another --out"
            )

    def _read_settings(self) -> dict[str, Any]:
        try:
            settings: dict[str, Any] = json.loads(self.summary_path.read_bytes())["settings"]
            return dict(settings)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ConfigError(
                f"{self.path}: cannot be gone on with: {self.summary_path.name}, which says what "
                "it was made with, is not there or not readable. Name another --out"
            ) from error

    def _refuse_other_settings(self, old: dict[str, Any]) -> None:
        for name, value in self._settings.items():
            if old.get(name) != value:
                how = _FLAGS.get(name, "version of this program")
                raise ConfigError(
                    f"{self.path} was begun with {name} {old.get(name)}, and this run has {value}: "
                    f"rows of both do not mix. Go back to the old ({how}), or name another --out"
                )


@contextmanager
def open_output(
    path: Path, card: Card, choice: RuntimeChoice, options: ReadOptions
) -> Iterator[Output]:
    """Take hold of an output; the operating system lets go of it however the process ends.

    Raises:
        ConfigError: The name is none of a table.
        StorageError: Another process writes there, or the disk refuses.
    """
    table = open_table(path, row_schema(card.classes))
    # NAME.csv and NAME.jsonl would have one summary, so they have one lock
    lock = _beside(path, ".lock", f".{path.stem}.lock")
    with hold(lock, path, "Wait for it, or name another --out"):
        yield Output(path, table, settings_of(card, choice, options))


def refuse_out_among(words: Sequence[str], out: Path) -> None:
    """Refuse a table that is read as a list while it is written: it would never end.

    Raises:
        ConfigError: A source is the table, a part of it, or its summary.
    """
    table = out if out.suffix.lower() in SUFFIXES else out / "rows"
    # realpath, for Path.resolve raises on a link that leads to itself
    own = [os.path.realpath(place) for place in (table, _summary_of(out))]
    for word in words:
        if any(map(Path(os.path.realpath(word)).is_relative_to, own)):
            raise ConfigError(
                f"--out {out}: expected a table that is none of the sources, got {word} as a "
                "source too. Name another --out"
            )


def _summary_of(path: Path) -> Path:
    return _beside(path, "summary.json", f"{path.stem}.summary.json")


def _beside(path: Path, in_folder: str, beside_file: str) -> Path:
    is_file = path.suffix.lower() in SUFFIXES
    return path.with_name(beside_file) if is_file else path / in_folder
