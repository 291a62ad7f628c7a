"""From a block of files to their rows: read, decode, batch by size, inspect.

One function, which depends on nothing but its arguments, so that any thread, process or machine
that has the inspector loaded can do a share of the work. Axes: H and W image size in pixels.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from sihwa.errors import UnreadableImage
from sihwa.images import (
    ByteBudget,
    Decoding,
    Member,
    batches_by_size,
    decode_image,
    decode_pages,
    read_content,
)
from sihwa.inspector import Inspection, Inspector, unread
from sihwa.scoring.options import BATCH_SIZE, ReadOptions
from sihwa.scoring.rows import Facts, Row, make_row
from sihwa.storage import sha256_of_bytes

T = TypeVar("T")
OnInspected = Callable[[Row, NDArray[np.uint8], Inspection], None]

_INFERENCES = ByteBudget(96 * 2**20)
"""Of pixels that all threads inspect at once: a runtime takes several times as much."""


class Entry(NamedTuple):
    """One file to score."""

    path: str
    member: Member | None = None
    """Its place in an archive, where the listing knows it."""
    fault: str | None = None
    """Why it cannot be read, where the listing knows that already."""


@dataclass
class _Image:
    facts: Facts
    milliseconds: float
    row: Row = field(default_factory=dict)


def blocks_of(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Cut a stream into blocks of `size`; the last one may be shorter.

    >>> list(blocks_of("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    stream = iter(items)
    while block := list(islice(stream, size)):
        yield block


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
        on_inspected: Called with the row, the pixels and the inspection of each inspected image.
    """
    card = inspector.card
    decoding = options.decoding(inspector.decoding)
    ids = {"inspector": card.id, "thresholds": card.thresholds_id}  # digests of the whole card
    images = []

    def finish(image: _Image, inspection: Inspection) -> None:
        image.row = make_row(
            inspection, image.facts, card.classes, milliseconds=image.milliseconds, **ids
        )

    def readable() -> Iterator[tuple[_Image, NDArray[np.uint8]]]:
        for entry in entries:
            for image, pixels in _read(entry, options, decoding):
                images.append(image)
                if isinstance(pixels, UnreadableImage):
                    finish(image, unread(pixels.reason))
                else:
                    yield image, pixels

    for batch, pixels in batches_by_size(readable(), batch_size):
        begin = time.perf_counter()
        inspections = _inspect(inspector, pixels)
        share = 1000 * (time.perf_counter() - begin) / len(batch)
        for image, one, inspection in zip(batch, pixels, inspections, strict=True):
            image.milliseconds += share
            finish(image, inspection)
            if on_inspected:
                on_inspected(image.row, one, inspection)
    return [image.row for image in images]


def _inspect(inspector: Inspector, images: NDArray[np.uint8]) -> list[Inspection]:
    """Inspect images of one size, (N, H, W, 3); one that the runtime fails on fails alone."""
    try:
        with _INFERENCES.claim(images.nbytes):
            return inspector.predict_batch(images)
    except Exception as error:  # each library raises its own kinds
        if len(images) > 1:
            return [found for image in images for found in _inspect(inspector, image[None])]
        height, width, _ = images[0].shape
        cause = error.__cause__ or error
        text = " ".join(str(cause).split())[:160] or type(cause).__name__
        return [unread(f"the inspector failed on {width} x {height} pixels: {text}")]


def _read(
    entry: Entry, options: ReadOptions, decoding: Decoding
) -> Iterator[tuple[_Image, NDArray[np.uint8] | UnreadableImage]]:
    begin = time.perf_counter()
    for facts, pixels in _decode(entry, options, decoding):
        milliseconds = 1000 * (time.perf_counter() - begin)
        if not isinstance(pixels, UnreadableImage):
            height, width, _ = pixels.shape
            facts = facts._replace(width=width, height=height)
        yield _Image(facts, milliseconds), pixels
        begin = time.perf_counter()


def _decode(
    entry: Entry, options: ReadOptions, decoding: Decoding
) -> Iterator[tuple[Facts, NDArray[np.uint8] | UnreadableImage]]:
    facts = Facts(entry.path)
    try:
        if entry.fault is not None:
            raise UnreadableImage(entry.path, entry.fault)
        content, modified_ns = read_content(entry.path, entry.member)
        facts = facts._replace(
            sha256=sha256_of_bytes(content), size=len(content), modified_ns=modified_ns
        )
        if options.pages == "error":
            yield facts, decode_image(content, entry.path, decoding)
            return
        for page in decode_pages(content, entry.path, decoding):
            yield facts._replace(page=page.number, pages=page.of), page.image
    except UnreadableImage as error:
        yield facts, error
    except MemoryError:
        yield facts, UnreadableImage(entry.path, "too large for this machine's memory")
