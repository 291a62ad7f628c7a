"""Embeddings cached across runs, in one SQLite file per backbone.

SQLite survives a kill in the middle of a write, lets two runs share the file, and looks up a few
images without reading the rest.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sihwa.storage.database import explaining, open_database


class EmbeddingCache:
    """A map from image content (SHA-256) to embedding (D,), float32.

    Args:
        folder: Cache folder, created if missing.
        backbone: Digest of the network; names the file.
        width: Embedding width D.

    Raises:
        StorageError: The file is damaged or cannot be written.
    """

    def __init__(self, folder: Path, backbone: str, width: int) -> None:
        self.path = folder.expanduser() / "embeddings" / f"{backbone[:32]}.sqlite"
        self.width = width

    def __enter__(self) -> Self:
        with self._explained():
            self._database = open_database(
                self.path,
                "PRAGMA journal_mode=WAL",
                "PRAGMA synchronous=NORMAL",
                "CREATE TABLE IF NOT EXISTS embedding "
                "(sha256 TEXT PRIMARY KEY, vector BLOB NOT NULL)",
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._database.close()

    def known(self, content: Sequence[str]) -> set[str]:
        """Return the contents that are in the cache."""
        return set(self._find(content))

    def get(self, content: Sequence[str]) -> NDArray[np.float32]:
        """Return the embeddings (N, D) of contents in the cache."""
        found = self._find(content)
        if not content:
            return np.zeros((0, self.width), np.float32)
        return np.stack([found[sha256] for sha256 in content])

    def put(self, content: Sequence[str], embedding: NDArray[np.float32]) -> None:
        """Add embeddings (N, D); durable on return."""
        rows = [
            (sha256, np.ascontiguousarray(vector, np.float32).tobytes())
            for sha256, vector in zip(content, embedding, strict=True)
        ]
        with self._explained(), self._database:
            self._database.execute("BEGIN")
            self._database.executemany("INSERT OR REPLACE INTO embedding VALUES (?, ?)", rows)

    def _find(self, content: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        found = {}
        for start in range(0, len(content), 500):  # SQLite bounds the number of parameters
            some = content[start : start + 500]
            marks = ",".join("?" * len(some))
            query = f"SELECT sha256, vector FROM embedding WHERE sha256 IN ({marks})"
            with self._explained():
                rows = self._database.execute(query, some).fetchall()
            for sha256, vector in rows:
                if len(vector) == 4 * self.width:
                    found[sha256] = np.frombuffer(vector, np.float32)
        return found

    def _explained(self) -> AbstractContextManager[None]:
        return explaining(
            f"embedding cache {self.path}",
            "It can be deleted without loss; cache_dir=PATH sets another place",
        )
