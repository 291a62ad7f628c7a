"""One table of one run: lock, settings, shards, the file that the user named, summary."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from sihwa.errors import ConfigError
from sihwa.inspector import Card, RuntimeChoice
from sihwa.scoring.options import ReadOptions
from sihwa.scoring.rows import ROW_VERSION, Row, row_schema
from sihwa.scoring.shards import ShardFolder
from sihwa.scoring.summary import ScoreSummary
from sihwa.storage import hold, replacing, write_json, writing

_SUFFIXES = (".csv", ".jsonl", ".parquet")
_OTHER_SUFFIXES = (".json", ".xlsx", ".tsv", ".txt", ".zip", ".tar")
_FLAGS = {
    "inspector": "INSPECTOR",
    "thresholds": "INSPECTOR",
    "runtime": "--runtime, --device or --precision; auto depends on --batch-size and on proofs",
    "max_pixels": "--max-pixels",
    "pages": "--pages",
}
"""How a user changes each setting that all rows of a table share."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""Spreadsheet programs read Korean names as UTF-8 only after this mark."""


def table_folder(out: Path) -> Path:
    """Return where the shards, the summary and the evidence of a table are.

    Raises:
        ConfigError: `out` has no name, or the suffix of another kind of file.

    >>> str(table_folder(Path("scores.csv"))), str(table_folder(Path("scores")))
    ('scores.csv.shards', 'scores')
    """
    suffix = out.suffix.lower()
    # to Path, a suffix alone is a name, and the empty name is the current folder
    if suffix in _OTHER_SUFFIXES or out.name.lower() in ("", *_SUFFIXES, *_OTHER_SUFFIXES):
        raise ConfigError(
            f"--out: expected a name that ends in {', '.join(_SUFFIXES)}, or the name of a folder; "
            f"got {str(out)!r}"
        )
    return out.with_name(f"{out.name}.shards") if suffix in _SUFFIXES else out


def is_table_file(out: Path) -> bool:
    """Return whether a path is named like a table that is one file.

    >>> is_table_file(Path("scores.csv")), is_table_file(Path("scores"))
    (True, False)
    """
    return out.suffix.lower() in _SUFFIXES


class ScoreTable:
    """A table that this process alone writes; `evidence` is its folder for overlays."""

    def __init__(self, path: Path, card: Card, settings: dict[str, Any]) -> None:
        schema = row_schema(card.classes)
        folder = table_folder(path)
        self.path = path
        self.evidence = folder / "evidence"
        self.shards = ShardFolder(folder / "rows", schema)
        self._copy = TableCopy(path, schema) if path != folder else None
        self._summary_path = folder / "summary.json"
        self._settings = settings
        self._growing: TableCopy | None = None

    def begin(self, *, resume: bool, watch: bool) -> None:
        """Note the settings of a new table; refuse an old one that this run may not continue."""
        if self._summary_path.exists() or (self._copy and self.path.exists()):
            if not resume:
                raise ConfigError(
                    f"{self.path} exists already. Add --resume to continue it, or name another "
                    "--out"
                )
            self._refuse_other_settings()
        self.shards.remove_unfinished()
        # a Parquet file is finished once it is written, so nothing can be appended to it
        can_grow = self.path.suffix.lower() != ".parquet"
        self._growing = self._copy if watch and can_grow else None
        self._write_summary("unfinished", {})

    def start_copy(self) -> None:
        """Under watch, write the rows so far to the file; later ones are appended to it."""
        if self._growing:
            self._growing.write(self.shards.tables())

    def append(self, rows: Sequence[Row]) -> None:
        """Add rows; a kill loses those of the last seconds, and never part of a shard."""
        shard = self.shards.append(rows)
        if self._growing and shard is not None:
            self._growing.append(shard)

    def remove(self, is_stale: Callable[[Mapping[str, Any]], bool]) -> None:
        """Remove rows, from a file that grows, too; `is_stale` is asked once for each row."""
        if self.shards.remove(is_stale):
            self.start_copy()

    def finish(self, summary: ScoreSummary) -> None:
        """Write the last shard, then the file that the user named, then the summary."""
        self.shards.close()
        if self._copy:
            self._copy.write(self.shards.tables())
        self._write_summary("stopped" if summary.stopped else "complete", summary.as_dict())

    def _write_summary(self, state: str, counts: dict[str, Any]) -> None:
        write_json(self._summary_path, {"state": state, "settings": self._settings, **counts})

    def _refuse_other_settings(self) -> None:
        try:
            old = dict(json.loads(self._summary_path.read_bytes())["settings"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ConfigError(
                f"{self.path}: cannot resume without a readable {self._summary_path}, which holds "
                "the settings of its rows. Name another --out"
            ) from error
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
    """Lock a table, or refuse one that another process writes."""
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


class TableCopy:
    """The file that a user named; nothing is ever read back from it."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self._schema = schema
        self._suffix = path.suffix.lower()

    def write(self, shards: Iterable[pa.Table]) -> None:
        """Write the whole table, or leave the file as it was."""
        with replacing(self.path) as temporary:
            if self._suffix == ".parquet":
                with pq.ParquetWriter(temporary, self._schema, compression="zstd") as writer:
                    for shard in shards:
                        writer.write_table(shard)
                return
            with temporary.open("wb") as file:
                if self._suffix == ".csv":
                    file.write(_BYTE_ORDER_MARK + _heading(self._schema))
                for shard in shards:
                    file.write(self._encode(shard))

    def append(self, shard: pa.Table) -> None:
        """Add the rows of one shard to a text file; a full disk may leave half a row.

        `write` replaces it, at the end or when the run is resumed.
        """
        with writing(self.path), self.path.open("ab") as file:
            file.write(self._encode(shard))

    def _encode(self, shard: pa.Table) -> bytes:
        return _as_csv(shard) if self._suffix == ".csv" else _as_json_lines(shard)


def _heading(schema: pa.Schema) -> bytes:
    # an empty table would do, but to make one imports pandas where it is installed
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow(schema.names)
    return text.getvalue().encode()


def _as_csv(shard: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pa.csv.write_csv(shard, sink, pa.csv.WriteOptions(include_header=False))
    return bytes(sink.getvalue())


def _as_json_lines(shard: pa.Table) -> bytes:
    lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in shard.to_pylist())
    return "".join(f"{line}\n" for line in lines).encode()
