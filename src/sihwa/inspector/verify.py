"""Verifying an inspector where it will run: every runtime present against the reference.

Axes: N images, H and W image size.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from sihwa.errors import EmptyDataset, InvalidInspector, RuntimeUnavailable, UnreadableImage
from sihwa.images import decode_image, read_bytes
from sihwa.inspector.bundle import read_bundle
from sihwa.inspector.card import Card, card_policy
from sihwa.inspector.image_list import as_on_the_line, list_images, none_readable, spread
from sihwa.inspector.inspector import batch_length
from sihwa.inspector.parity import TOLERANCE, in_other_sizes, prove_parity
from sihwa.inspector.parity_proof import ParityProof
from sihwa.inspector.parts import Bundle
from sihwa.inspector.runtime import (
    REFERENCE,
    Outputs,
    Runtime,
    check_choice,
    create_runtime,
    installed_choices,
    why_none,
)
from sihwa.inspector.signature import run_checked, try_out
from sihwa.inspector.speed import MOST_TIMED, TimedImages, measure_speed
from sihwa.inspector.verification import read_verification, write_verification
from sihwa.terminal.progress import progress_bar

_RESIZED = 32
_MOST_BYTES = 64 * 2**20
"""Of one image: those kept in an inspector are far smaller."""

Batch = tuple[Sequence[str], NDArray[np.uint8], Outputs]


@dataclass(frozen=True)
class VerifiedInspector:
    """What was found.

    Attributes:
        proof: One entry per runtime, device and precision present, at least one.
        count: How many were compared, some of them in several sizes.
        written: Where it lies, for `load_inspector`.
        unreadable: Images that could not be read, by path and reason.
        left_out: Readable images beyond the limit, which were not looked at.
        before: Comparisons of the verification that this one replaces, 0 for none.
        unusable: Runtimes that are installed and cannot run this inspector, and why.
    """

    proof: list[ParityProof]
    count: int
    written: Path
    unreadable: list[UnreadableImage]
    left_out: int
    before: int = 0
    unusable: tuple[str, ...] = ()


def verify_inspector(
    path: Path,
    source: Path | None = None,
    devices: Sequence[str] = ("cpu",),
    limit: int = 500,
) -> VerifiedInspector:
    """Compare each runtime and precision present with float32 in ONNX Runtime; store the result.

    Args:
        path: The inspector folder, or its .onnx file.
        source: A folder of images or a .zip; None for those kept in the inspector.
        devices: Where to run: `cpu`, `cuda`, `cuda:1`.
        limit: At most so many images, taken evenly from all.

    Raises:
        InvalidInspector: The inspector is missing, damaged, foreign or too new.
        RuntimeUnavailable: No runtime runs it on one of the devices.
        DatasetNotFound: There are no images there, nor in the inspector.
        EmptyDataset: None of them can be read.
        StorageError: The result cannot be written.
    """
    bundle = read_bundle(path)
    devices = tuple(dict.fromkeys(devices))
    listed = list_images(path, source, f"sihwa verify {path} FOLDER")
    chosen = spread(listed, limit)
    on_the_line = set(as_on_the_line(listed, source))
    timed = [path for path in chosen if path in on_the_line]
    images = _Images(chosen, spread(timed, MOST_TIMED) if timed else chosen)
    for device in devices:
        _require_runtime(bundle, device)
    runtimes, unusable = _usable_runtimes(bundle, devices, path)
    reference = _Checked(bundle.card, create_runtime(bundle, REFERENCE), path)
    tolerance, flips = _rules(bundle)
    with progress_bar("verifying", len(chosen)) as advance:
        proofs = prove_parity(
            runtimes,
            _against(reference, images.batches(advance)),
            card_policy(bundle.card),
            tolerance,
            flips,
        )
    if images.first is None:
        raise EmptyDataset(none_readable(images.unreadable))
    timed_images = images.timed.image
    rates = measure_speed(runtimes, images.first[None] if timed_images is None else timed_images)
    proofs = [
        replace(proof, images_per_second_1=round(one, 1), images_per_second_32=round(many, 1))
        for proof, (one, many) in zip(proofs, rates, strict=True)
    ]
    before = max((proof.images for proof in read_verification(path, bundle).proof), default=0)
    count = len(chosen) - len(images.unreadable)
    written = write_verification(path, bundle, proofs, count)
    left_out = len(listed) - len(chosen)
    return VerifiedInspector(
        proofs, count, written, images.unreadable, left_out, before, tuple(unusable)
    )


def _usable_runtimes(
    bundle: Bundle, devices: Sequence[str], path: Path
) -> tuple[list[Runtime], list[str]]:
    """Return the runtimes that run a tiny image, and why others do not."""
    usable, unusable = list[Runtime](), list[str]()
    for choice in installed_choices(bundle, devices):
        try:
            runtime = create_runtime(bundle, choice)
            try_out(bundle.card, runtime)
        except InvalidInspector as error:
            if choice == REFERENCE:
                raise InvalidInspector(f"{path}: {error}") from error
            unusable.append(f"{choice}: {error}")
        else:
            usable.append(_Checked(bundle.card, runtime, path))
    if not usable:
        raise RuntimeUnavailable("; ".join(unusable))
    return usable, unusable


def _require_runtime(bundle: Bundle, device: str) -> None:
    check_choice("auto", device, "auto")
    if reasons := why_none(bundle, device):
        raise RuntimeUnavailable(
            f"expected a device that some runtime uses here, got {device}. {reasons}"
        )


def _rules(bundle: Bundle) -> tuple[dict[str, float], dict[str, int]]:
    """Return tolerances and allowed flips by precision: the export's, where it said any."""
    said = {proof.precision: proof.tolerance for proof in bundle.card.proof}
    flips = {"int8": bundle.card.int8.allowed_flips} if bundle.card.int8 else {}
    return {**TOLERANCE, **said}, flips


class _Checked:
    """A runtime whose outputs are checked at every size, and whose failures are clear errors."""

    def __init__(self, card: Card, runtime: Runtime, path: Path) -> None:
        self.choice = runtime.choice
        self._card, self._runtime, self._path = card, runtime, path

    def run(self, image: NDArray[np.uint8]) -> Outputs:
        """See `Runtime`."""
        try:
            return run_checked(self._card, self._runtime, image)
        except InvalidInspector as error:
            raise InvalidInspector(f"{self._path}: {error}") from error


def _against(
    reference: Runtime, batches: Iterator[tuple[list[str], NDArray[np.uint8]]]
) -> Iterator[Batch]:
    for paths, image in batches:
        yield paths, image, reference.run(image)


class _Images:
    """The images of a list, read in chunks, each chunk by size; some also in other sizes."""

    def __init__(self, paths: Sequence[str], timed: Sequence[str]) -> None:
        self.paths = paths
        self.unreadable: list[UnreadableImage] = []
        self.first: NDArray[np.uint8] | None = None
        self.timed = TimedImages()
        self._resized = set(spread(range(len(paths)), _RESIZED))
        self._to_time = set(timed)

    def batches(
        self, advance: Callable[[int], None]
    ) -> Iterator[tuple[list[str], NDArray[np.uint8]]]:
        waiting: dict[tuple[int, ...], list[tuple[int, NDArray[np.uint8]]]] = {}
        for place, path in enumerate(self.paths):
            image = self._read(path)
            if image is not None:
                self.first = image if self.first is None else self.first
                if path in self._to_time:
                    self.timed.add(image)
                same = waiting.setdefault(image.shape, [])
                same.append((place, image))
                held = sum(one.nbytes for group in waiting.values() for _, one in group)
                if len(same) >= batch_length(image) or held > _MOST_BYTES:
                    for group in waiting.values():
                        yield from self._compared(group)
                    waiting.clear()
            advance(1)
        for group in waiting.values():
            yield from self._compared(group)

    def _compared(
        self, same: list[tuple[int, NDArray[np.uint8]]]
    ) -> Iterator[tuple[list[str], NDArray[np.uint8]]]:
        """Yield images of one size, then some of them in other sizes."""
        yield self._named(same), np.stack([image for _, image in same])
        some = [(place, image) for place, image in same if place in self._resized]
        if some:
            yield from in_other_sizes(self._named(some), np.stack([image for _, image in some]))

    def _named(self, items: list[tuple[int, NDArray[np.uint8]]]) -> list[str]:
        return [self.paths[place] for place, _ in items]

    def _read(self, path: str) -> NDArray[np.uint8] | None:
        try:
            image = decode_image(read_bytes(path, _MOST_BYTES), path)
        except UnreadableImage as error:
            self.unreadable.append(error)
            return None
        return image
