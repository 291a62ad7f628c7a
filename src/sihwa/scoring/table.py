"""The table on disk: a folder of Parquet parts, or one CSV or JSON Lines file.

Whatever happens while it is written, what is found afterwards is some first rows of the table,
each whole. Opening it says what is there; rows are only ever added at the end.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from sihwa.errors import ConfigError
from sihwa.scoring.rows import Row
from sihwa.scoring.table_parts import PartFolder
from sihwa.scoring.table_text import TextTable

SUFFIXES = (".csv", ".jsonl")
"""What makes a table one file; any other name is a folder of Parquet parts."""
_OTHERS = (".parquet", ".json", ".xlsx", ".tsv", ".txt", ".zip", ".tar")

Keep = Callable[[dict[str, Any]], bool]


class Table(Protocol):
    """Rows on disk."""

    def exists(self) -> bool:
        """Say whether there is anything under its name."""
        ...

    def written(self) -> Iterator[dict[str, Any]]:
        """Read the rows that are there, columns `KEY_COLUMNS`, a few at a time."""
        ...

    def keep(self, keep: Keep) -> None:
        """Remove the rows for which `keep` is false, and what a killed process left unfinished."""
        ...

    def append(self, rows: Sequence[Row]) -> None:
        """Add rows; a kill from now on may lose the last of them, but no part of one."""
        ...

    def flush(self) -> None:
        """Make all rows so far durable."""
        ...

    def close(self) -> None:
        """Flush, and let go of the file."""
        ...


def open_table(path: Path, schema: pa.Schema) -> Table:
    """Open a table to add rows, by its suffix; nothing is written before the first row.

    Raises:
        ConfigError: There is no name, or its suffix is that of another kind of file.
    """
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return TextTable(path, schema)
    # a suffix alone is a name to Path, and no name is the current folder
    if suffix in _OTHERS or path.name.lower() in ("", *SUFFIXES, *_OTHERS):
        raise ConfigError(
            f"--out: expected a name that ends in {' or '.join(SUFFIXES)}, or the name of a "
            f"folder, which gets Parquet parts; got {str(path)!r}"
        )
    return PartFolder(path / "rows", schema)
