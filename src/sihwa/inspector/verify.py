"""Verify an inspector where it will run: every installed runtime against ONNX Runtime in float32.

The proofs are stored in a file beside the inspector, and allow runtimes on this machine. The
SHA-256 of the inspector's files binds it to the inspector, and a digest shows damage. If anything
is wrong with it, it does not count, and the reference decides, which needs no proof.

Axes: N images, H and W image size.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

import sihwa
from sihwa.errors import DatasetError, InvalidInspector, RuntimeUnavailable, UnreadableImage
from sihwa.images import MAX_PIXELS, Decoding, batches_by_size, read_image
from sihwa.inspector.bundle import Bundle, read_bundle
from sihwa.inspector.card import Card
from sihwa.inspector.image_list import as_on_the_line, list_images, none_readable, spread
from sihwa.inspector.parity import ProofImages, prove
from sihwa.inspector.proof import ParityProof
from sihwa.inspector.runtime.interface import Outputs, Runtime
from sihwa.inspector.runtime.registry import (
    REFERENCE,
    check_choice,
    create_runtime,
    installed_choices,
    why_none,
)
from sihwa.inspector.signature import run_checked, try_out
from sihwa.inspector.speed import MOST_TIMED, timed_images
from sihwa.inspector.strict_json import Facts, Sha256, canonical_json, parse_json, printable
from sihwa.storage import sha256_of_bytes, write_json

Images = NDArray[np.uint8]
_MAX_BYTES = 2**20


@dataclass(frozen=True)
class VerifiedInspector:
    """The result of a verification."""

    proof: list[ParityProof]
    """One entry per installed runtime, device and precision; at least one."""
    count: int
    """Images that were compared, some of them in several sizes."""
    written: Path
    unreadable: list[UnreadableImage]
    left_out: int
    """Images beyond the limit."""
    before: int = 0
    """Comparisons of the verification that this one replaces, 0 for none."""
    unusable: tuple[str, ...] = ()
    """Installed runtimes that cannot run this inspector, and why."""


def verify_inspector(
    path: Path,
    source: Path | None = None,
    devices: Sequence[str] = ("cpu",),
    limit: int = 500,
    max_pixels: int = MAX_PIXELS,
) -> VerifiedInspector:
    """Prove each runtime and precision against float32 in ONNX Runtime; store the result.

    Args:
        path: The inspector folder, or its .onnx file.
        source: A folder of images, an archive or one image; None for the images in the inspector.
        devices: Where to run: `cpu`, `cuda`, `cuda:1`.
        limit: Compare at most so many images, chosen evenly.
        max_pixels: Larger images are not read.

    Raises:
        InvalidInspector: The inspector is missing, damaged, foreign or too new.
        RuntimeUnavailable: No runtime runs it on one of the devices.
        DatasetError: There are no images, or none can be read.
        StorageError: The result cannot be written.
    """
    bundle = read_bundle(path)
    devices = tuple(dict.fromkeys(devices))
    listed = list_images(path, source, f"sihwa verify {path} FOLDER")
    chosen = spread(listed, limit)
    on_the_line = set(as_on_the_line(listed, source))
    decoding = Decoding(max_pixels, bundle.card.white, "--max-pixels")
    images = _Images(chosen, [path for path in chosen if path in on_the_line], decoding)
    for device in devices:
        check_choice("auto", device, "auto")
        if reasons := why_none(bundle, device):
            raise RuntimeUnavailable(
                f"expected a device that some runtime uses here, got {device}. {reasons}"
            )
    runtimes, unusable = _usable_runtimes(bundle, devices, path)
    reference = _Checked(bundle.card, create_runtime(bundle, REFERENCE))
    tolerance = {proof.precision: proof.tolerance for proof in bundle.card.proof}
    try:
        given = ProofImages(batches_by_size(images.readable()), len(chosen), images.timed)
        proofs = prove(reference.run, runtimes, given, bundle.card, tolerance)
    except InvalidInspector as error:
        raise InvalidInspector(f"{path}: {error}") from error
    before = max((proof.images for proof in read_verification(path, bundle).proof), default=0)
    count = len(chosen) - len(images.unreadable)
    return VerifiedInspector(
        proof=proofs,
        count=count,
        written=write_verification(path, bundle, proofs, count),
        unreadable=images.unreadable,
        left_out=len(listed) - len(chosen),
        before=before,
        unusable=tuple(unusable),
    )


def _usable_runtimes(
    bundle: Bundle, devices: Sequence[str], path: Path
) -> tuple[list[Runtime], list[str]]:
    """Return the runtimes that run a tiny image, and why the others do not."""
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
            usable.append(_Checked(bundle.card, runtime))
    if not usable:
        raise RuntimeUnavailable("; ".join(unusable))
    return usable, unusable


class _Checked:
    """A runtime whose outputs are checked at every size."""

    def __init__(self, card: Card, runtime: Runtime) -> None:
        self.choice = runtime.choice
        self._card, self._runtime = card, runtime

    def run(self, image: Images) -> Outputs:
        """See `Runtime`."""
        return run_checked(self._card, self._runtime, image)


class _Images:
    """Images from a list of paths; those that cannot be read are noted and skipped."""

    def __init__(
        self, paths: Sequence[str], on_the_line: Sequence[str], decoding: Decoding
    ) -> None:
        self.paths = paths
        self._decoding = decoding
        self.unreadable: list[UnreadableImage] = []
        self._on_the_line = on_the_line

    def readable(self) -> Iterator[tuple[str, Images]]:
        """Yield names and images, (H, W, 3)."""
        for path in self.paths:
            try:
                yield path, read_image(path, self._decoding)
            except UnreadableImage as error:
                self.unreadable.append(error)

    def timed(self) -> Images:
        """Return images to measure speed on, without those chosen as close calls if possible."""
        unreadable = {error.path for error in self.unreadable}
        for paths in (spread(self._on_the_line, MOST_TIMED), self.paths):
            found = timed_images(
                read_image(path, self._decoding) for path in paths if path not in unreadable
            )
            if found is not None:
                return found
        raise DatasetError(none_readable(self.unreadable))


class _File(Facts, frozen=True, kw_only=True):
    """The file's content; docs/inspector-format.md describes it."""

    format: Literal["sihwa-verification"]
    format_version: Literal[2]
    inspector: str
    graphs: list[Sha256]
    created: str
    code_version: str
    images: Annotated[int, Meta(ge=1)]
    proof: Annotated[tuple[ParityProof, ...], Meta(max_length=100)]
    digest: Sha256


@dataclass(frozen=True)
class Verification:
    """What `sihwa verify` found on this machine."""

    proof: tuple[ParityProof, ...] = ()
    note: str = ""
    """Why the file beside the inspector does not count; empty if it does."""
    is_damaged: bool = False
    """Whether there is a file that cannot be read: it may have held a refusal."""


def verification_path(inspector: Path) -> Path:
    """Return the file with the verification of an inspector: beside it, never inside."""
    place = inspector.resolve()
    return place.with_name(f"{place.name}.verified.json")


def write_verification(
    inspector: Path, bundle: Bundle, proof: Sequence[ParityProof], images: int
) -> Path:
    """Write a verification, replacing an older one, and return its path."""
    content = {
        "format": "sihwa-verification",
        "format_version": 2,
        "inspector": bundle.card.id,
        "graphs": _graphs(bundle),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "code_version": sihwa.__version__,
        "images": images,
        "proof": [one.as_dict() for one in proof],
    }
    path = verification_path(inspector)
    write_json(path, {**content, "digest": _digest(content)})
    return path


def read_verification(inspector: Path, bundle: Bundle) -> Verification:
    """Read the verification of an inspector; one that cannot be trusted does not count."""
    path = verification_path(inspector)
    try:
        if not path.exists():
            return Verification()
        file = _read(path)
    except (OSError, InvalidInspector) as error:
        reason = f"{getattr(error, 'strerror', None) or error}"[:200]
        note = f"{path.name} does not count: {reason}; run `sihwa verify` again"
        return Verification(note=note, is_damaged=True)
    if file.inspector != bundle.card.id or file.graphs != _graphs(bundle):
        return Verification(note=f"{path.name} does not count: it is of another inspector")
    return Verification(file.proof)


def _read(path: Path) -> _File:
    if not path.is_file() or path.is_symlink():
        raise InvalidInspector("it is not a regular file")
    if path.stat().st_size > _MAX_BYTES:
        raise InvalidInspector(f"it is larger than {_MAX_BYTES} bytes")
    try:
        content = parse_json(path.read_bytes(), path.name)
        file = msgspec.convert(content, _File)
    except InvalidInspector as error:
        raise InvalidInspector("it is damaged") from error
    except msgspec.ValidationError as error:
        raise InvalidInspector(f"it is not a verification: {printable(error)}") from error
    if file.digest != _digest(content):
        raise InvalidInspector("it was changed after it was written")
    return file


def _graphs(bundle: Bundle) -> list[str]:
    """Return the SHA-256 of graph, weights and INT8 model, as far as the inspector has them."""
    files = (bundle.graph, bundle.weights, bundle.int8_model)
    return [sha256_of_bytes(content) for content in files if content is not None]


def _digest(content: dict[str, Any]) -> str:
    sealed = {key: value for key, value in content.items() if key != "digest"}
    return sha256_of_bytes(canonical_json(sealed).encode())
