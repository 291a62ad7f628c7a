"""A table as one CSV, JSON Lines or Parquet file, written from its shards."""

import json
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from sihwa.storage import replacing, writing

SUFFIXES = (".csv", ".jsonl", ".parquet")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""Spreadsheet programs read Korean names as UTF-8 only after this mark."""


class TableCopy:
    """The file that a user named; nothing is ever read back from it.

    Args:
        path: Its suffix is one of `SUFFIXES`, in small or capital letters.
        schema: Columns of a row.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self._schema = schema
        self._suffix = path.suffix.lower()

    @property
    def can_grow(self) -> bool:
        """Whether rows can be appended: a Parquet file is finished once it is written."""
        return self._suffix != ".parquet"

    def write(self, shards: Iterable[pa.Table]) -> None:
        """Write the whole table, or leave the file as it was.

        Raises:
            StorageError: The disk refuses.
        """
        with replacing(self.path) as temporary:
            if self._suffix == ".parquet":
                with pq.ParquetWriter(temporary, self._schema, compression="zstd") as writer:
                    for shard in shards:
                        writer.write_table(shard)
                return
            with temporary.open("wb") as file:
                if self._suffix == ".csv":
                    file.write(_BYTE_ORDER_MARK + _as_csv(self._schema.empty_table(), head=True))
                for shard in shards:
                    file.write(self._encode(shard))

    def append(self, shard: pa.Table) -> None:
        """Add the rows of one shard to a text file.

        Raises:
            StorageError: The disk refuses; half a row may be left, until `write` replaces it.
        """
        with writing(self.path), self.path.open("ab") as file:
            file.write(self._encode(shard))

    def _encode(self, shard: pa.Table) -> bytes:
        return _as_csv(shard, head=False) if self._suffix == ".csv" else _as_json_lines(shard)


def _as_csv(shard: pa.Table, *, head: bool) -> bytes:
    sink = pa.BufferOutputStream()
    pa.csv.write_csv(shard, sink, pa.csv.WriteOptions(include_header=head))
    return bytes(sink.getvalue())


def _as_json_lines(shard: pa.Table) -> bytes:
    lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in shard.to_pylist())
    return "".join(f"{line}\n" for line in lines).encode()
