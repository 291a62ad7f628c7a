"""Scoring: an inspector and pictures in, one row per picture out."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sihwa.errors import DatasetNotFound, EmptyDataset, UnreadableImage
from sihwa.images import decode_image, find_images, read_bytes
from sihwa.inspector import Inspection, Inspector, unread
from sihwa.progress import progress_bar
from sihwa.scoring.rows import Row, make_row, row_schema
from sihwa.scoring.writers import open_writer
from sihwa.storage import sha256_of_bytes

__all__ = ["ScoreSummary", "score_folder"]

_CHUNK = 64


@dataclass
class ScoreSummary:
    """What a scoring run did."""

    images: int = 0
    seconds: float = 0.0
    decisions: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    errors: int = 0
    other_files: int = 0

    def add(self, row: Row) -> None:
        """Count one row."""
        self.images += 1
        self.decisions[str(row["decision"])] += 1
        if row["error"] is None:
            self.classes[str(row["top_class"])] += 1
        else:
            self.errors += 1


def score_folder(inspector: Inspector, source: Path, out: Path) -> ScoreSummary:
    """Score every picture below a folder; write one row per picture to `out`.

    Args:
        inspector: Loaded, see `sihwa.inspector.load_inspector`.
        source: A folder, searched with all its subfolders; a .zip; or one picture.
        out: The table to write: .csv, .jsonl or .parquet.

    Raises:
        DatasetNotFound: There is no such source.
        EmptyDataset: It holds no picture.
        StorageError: The table cannot be written.
    """
    paths, others = _list(source)
    summary = ScoreSummary(other_files=others)
    begin = time.perf_counter()
    with (
        open_writer(out, row_schema(inspector.card.classes)) as write,
        progress_bar("scoring", len(paths)) as advance,
    ):
        for rows in score_paths(inspector, paths):
            write(rows)
            for row in rows:
                summary.add(row)
            advance(len(rows))
    summary.seconds = time.perf_counter() - begin
    return summary


def score_paths(inspector: Inspector, paths: Sequence[str]) -> Iterator[list[Row]]:
    """Yield the rows of the given pictures, a chunk at a time, in the order given."""
    for start in range(0, len(paths), _CHUNK):
        yield _score_chunk(inspector, paths[start : start + _CHUNK])


def _list(source: Path) -> tuple[list[str], int]:
    if not source.exists():
        raise DatasetNotFound(f"expected a folder of pictures, got {str(source)!r}, not found")
    if source.is_file() and source.suffix.lower() != ".zip":
        return [str(source)], 0
    listing = find_images(source)
    if not listing.images:
        raise EmptyDataset(f"{source}: no picture found ({listing.others} other files)")
    return list(listing.images), listing.others


@dataclass
class _Item:
    """One file on its way to its row."""

    path: str
    sha256: str | None = None
    size: int | None = None
    image: NDArray[np.uint8] | None = None
    inspection: Inspection | None = None
    milliseconds: float = 0.0


def _score_chunk(inspector: Inspector, paths: Sequence[str]) -> list[Row]:
    items = [_read(path) for path in paths]
    by_shape: dict[tuple[int, ...], list[_Item]] = {}
    for item in items:
        if item.image is not None:
            by_shape.setdefault(item.image.shape, []).append(item)
    for same in by_shape.values():
        _inspect(inspector, same)
    return [_row(item, inspector) for item in items]


def _read(path: str) -> _Item:
    begin = time.perf_counter()
    item = _Item(path)
    try:
        content = read_bytes(path)
        item.sha256, item.size = sha256_of_bytes(content), len(content)
        item.image = decode_image(content, path)
    except UnreadableImage as error:
        item.inspection = unread(error.reason)
    item.milliseconds = 1000 * (time.perf_counter() - begin)
    return item


def _inspect(inspector: Inspector, same: list[_Item]) -> None:
    begin = time.perf_counter()
    batch = np.stack([item.image for item in same if item.image is not None])
    inspections = inspector.predict_batch(batch)
    share = 1000 * (time.perf_counter() - begin) / len(same)
    for item, inspection in zip(same, inspections, strict=True):
        item.inspection = inspection
        item.milliseconds += share


def _row(item: _Item, inspector: Inspector) -> Row:
    assert item.inspection is not None
    return make_row(
        item.inspection,
        inspector.card.classes,
        path=item.path,
        sha256=item.sha256,
        size=item.size,
        shape=None if item.image is None else item.image.shape,
        milliseconds=item.milliseconds,
        inspector=inspector.card.id,
        thresholds=inspector.card.thresholds_id,
    )
