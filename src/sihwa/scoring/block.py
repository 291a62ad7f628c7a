"""From a block of files to their rows: read, decode, batch by size, inspect.

One function, which depends on nothing but its arguments, so that any thread, process or machine
that has the inspector loaded can do a share of the work. Axes: H and W image size in pixels.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sihwa.errors import ConfigError, UnreadableImage
from sihwa.images import MAX_PIXELS, Member, decode_image, decode_pages, read_content
from sihwa.inspector import BATCH_BYTES, Inspection, Inspector, unread
from sihwa.scoring.rows import Facts, Row, make_row
from sihwa.storage import sha256_of_bytes

BATCH_SIZE = 32
_LARGE_BYTES = 64 * 2**20
_one_at_a_time = threading.Lock()
"""A runtime takes several times an image's size: two large ones at once could be too much."""


class Entry(NamedTuple):
    """One file to score."""

    path: str
    member: Member | None = None
    """Its place in an archive, where the listing knows it."""
    fault: str | None = None
    """Why it cannot be read, where the listing knows that already."""


@dataclass(frozen=True)
class ReadOptions:
    """What decides how files become images; two tables of different options do not mix.

    Attributes:
        max_pixels: Largest allowed H × W.
        pages: Whether each page of a TIFF gets a row, or a TIFF of several pages an error.
    """

    max_pixels: int = MAX_PIXELS
    pages: Literal["rows", "error"] = "rows"

    def __post_init__(self) -> None:
        """Reject what is out of range."""
        if self.max_pixels < 1:
            raise ConfigError(f"--max-pixels must be at least 1, got {self.max_pixels}")
        if self.pages not in ("rows", "error"):
            raise ConfigError(f"--pages must be rows or error, got {self.pages!r}")


class Inspected(NamedTuple):
    """An image with what was said of it, before its pixels are forgotten."""

    row: Row
    image: NDArray[np.uint8]
    inspection: Inspection


OnInspected = Callable[[Inspected], None]


_WAITING = unread("not inspected")


@dataclass
class _Image:
    """One image on its way to its row."""

    facts: Facts
    inspection: Inspection
    image: NDArray[np.uint8] | None = None
    milliseconds: float = 0.0
    row: Row = field(default_factory=dict)


def score_block(
    inspector: Inspector,
    entries: Sequence[Entry],
    options: ReadOptions,
    batch_size: int = BATCH_SIZE,
    on_inspected: OnInspected | None = None,
) -> list[Row]:
    """Return the rows of some files, in their order: one each, or one for each page.

    Images of one size are inspected together. Whatever is wrong with a file, it gets a row.

    Args:
        inspector: Loaded; may be in use by other threads.
        entries: The files; how many are held in memory is bounded by `batch_size` and by bytes.
        options: How they are read.
        batch_size: Most images in one inference, at least 1.
        on_inspected: Called with each inspected image.
    """
    batches = _Batches(inspector, batch_size, on_inspected)
    images = []
    for entry in entries:
        for image in _read(entry, options):
            images.append(image)
            batches.add(image)
    batches.finish()
    return [image.row for image in images]


class _Batches:
    """Images that wait for others of their size."""

    def __init__(
        self, inspector: Inspector, batch_size: int, on_inspected: OnInspected | None
    ) -> None:
        self._inspector = inspector
        # told once: an id is a digest of the whole card
        self._ids = {"inspector": inspector.card.id, "thresholds": inspector.card.thresholds_id}
        self._batch_size = batch_size
        self._on_inspected = on_inspected
        self._waiting: dict[tuple[int, ...], list[_Image]] = {}
        self._bytes = 0

    def add(self, image: _Image) -> None:
        if image.image is None:
            self._write_row(image)
            return
        shape = image.image.shape
        same = self._waiting.setdefault(shape, [])
        same.append(image)
        self._bytes += image.image.nbytes
        if len(same) >= self._batch_size:
            self._release(shape)
        elif self._bytes >= BATCH_BYTES:
            self._release(max(self._waiting, key=self._bytes_of))

    def finish(self) -> None:
        for shape in list(self._waiting):
            self._release(shape)

    def _bytes_of(self, shape: tuple[int, ...]) -> int:
        return len(self._waiting[shape]) * math.prod(shape)

    def _release(self, shape: tuple[int, ...]) -> None:
        self._bytes -= self._bytes_of(shape)
        same = self._waiting.pop(shape)
        begin = time.perf_counter()
        inspections = _inspect(self._inspector, [_image(image) for image in same])
        share = 1000 * (time.perf_counter() - begin) / len(same)
        for image, inspection in zip(same, inspections, strict=True):
            image.inspection = inspection
            image.milliseconds += share
            self._write_row(image)

    def _write_row(self, image: _Image) -> None:
        image.row = make_row(
            image.inspection,
            image.facts,
            self._inspector.card.classes,
            milliseconds=image.milliseconds,
            **self._ids,
        )
        if self._on_inspected and image.image is not None:
            self._on_inspected(Inspected(image.row, image.image, image.inspection))
        image.image = None  # a block's pixels together would take too much memory


def _image(image: _Image) -> NDArray[np.uint8]:
    assert image.image is not None
    return image.image


def _inspect(inspector: Inspector, images: list[NDArray[np.uint8]]) -> list[Inspection]:
    """Inspect images of one size; one that the runtime fails on fails alone."""
    try:
        with _one_at_a_time if images[0].nbytes > _LARGE_BYTES else nullcontext():
            batch = np.stack(images) if len(images) > 1 else images[0][None]
            return inspector.predict_batch(batch)
    except Exception as error:  # each library raises its own kinds
        if len(images) > 1:
            return [inspection for image in images for inspection in _inspect(inspector, [image])]
        height, width, _ = images[0].shape
        cause = error.__cause__ or error
        text = " ".join(str(cause).split())[:160] or type(cause).__name__
        return [unread(f"the inspector failed on {width} x {height} pixels: {text}")]


def _read(entry: Entry, options: ReadOptions) -> Iterator[_Image]:
    begin = time.perf_counter()
    for facts, image in _decode(entry, options):
        now = time.perf_counter()
        milliseconds, begin = 1000 * (now - begin), now
        if isinstance(image, UnreadableImage):
            yield _Image(facts, unread(image.reason), milliseconds=milliseconds)
        else:
            facts = facts._replace(width=image.shape[1], height=image.shape[0])
            yield _Image(facts, _WAITING, image, milliseconds)
        begin = time.perf_counter()


def _decode(
    entry: Entry, options: ReadOptions
) -> Iterator[tuple[Facts, NDArray[np.uint8] | UnreadableImage]]:
    facts = Facts(entry.path)
    try:
        if entry.fault is not None:
            raise UnreadableImage(entry.path, entry.fault)
        content, modified_ns = read_content(entry.path, entry.member)
        facts = Facts(
            entry.path,
            sha256=sha256_of_bytes(content),
            size=len(content),
            modified_ns=modified_ns,
        )
        if options.pages == "error":
            yield facts, decode_image(content, entry.path, options.max_pixels)
            return
    except UnreadableImage as error:
        yield facts, error
        return
    except MemoryError:
        yield facts, UnreadableImage(entry.path, "too large for this machine's memory")
        return
    for page in decode_pages(content, entry.path, options.max_pixels):
        yield facts._replace(page=page.number, pages=page.of), page.image
