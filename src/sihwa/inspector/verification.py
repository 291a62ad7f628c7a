"""What `sihwa verify` found, in a file beside the inspector, read without trusting it.

It says what may run on the machine it was made on, so it is sealed to the inspector by the
SHA-256 of its files and to itself by a digest. Whatever is wrong with it, the inspector still
runs: in float32 in the reference's runtime, which needs no proof.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

import sihwa
from sihwa.errors import InvalidInspector
from sihwa.inspector.card import Facts, Sha256, canonical_json, parse_json, printable
from sihwa.inspector.parity_proof import ParityProof
from sihwa.inspector.parts import Bundle
from sihwa.storage import sha256_of_bytes, write_json

_FORMAT = "sihwa-verification"
_MAX_BYTES = 2**20


@dataclass(frozen=True)
class Verification:
    """What was verified here.

    Attributes:
        proof: One entry per runtime, device and precision, as in the card.
        note: Why the file beside the inspector does not count, for people; empty if it does.
        is_damaged: Whether there is a file that cannot be read: it may have held a refusal.
    """

    proof: Sequence[ParityProof] = field(default=())
    note: str = ""
    is_damaged: bool = False


def verification_path(inspector: Path) -> Path:
    """Return where the verification of an inspector lies: beside it, never inside."""
    place = inspector.resolve()
    return place.with_name(f"{place.name}.verified.json")


def write_verification(
    inspector: Path, bundle: Bundle, proof: Sequence[ParityProof], images: int
) -> Path:
    """Write what was verified, and return where; an older verification is replaced.

    Raises:
        StorageError: The disk refuses.
    """
    content = {
        "format": _FORMAT,
        "format_version": 2,
        "inspector": bundle.card.id,
        "graphs": _graphs(bundle),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "code_version": sihwa.__version__,
        "images": images,
        "proof": [item.as_dict() for item in proof],
    }
    path = verification_path(inspector)
    write_json(path, {**content, "digest": _digest(content)})
    return path


def read_verification(inspector: Path, bundle: Bundle) -> Verification:
    """Read what was verified of an inspector; what cannot be trusted does not count."""
    path = verification_path(inspector)
    try:
        if not path.exists():
            return Verification()
        document = _read(path)
    except (OSError, InvalidInspector) as error:
        note = f"{path.name} does not count: {_reason(error)}; run `sihwa verify` again"
        return Verification(note=note, is_damaged=True)
    if document.inspector != bundle.card.id or list(document.graphs) != _graphs(bundle):
        return Verification(note=f"{path.name} does not count: it is of another inspector")
    return Verification(proof=document.proof)


def _read(path: Path) -> "_Document":
    if not path.is_file() or path.is_symlink():
        raise InvalidInspector("it is no plain file")
    size = path.stat().st_size
    if size > _MAX_BYTES:
        raise InvalidInspector(f"its {size} bytes are more than {_MAX_BYTES}")
    try:
        content = parse_json(path.read_bytes(), path.name)
    except InvalidInspector as damage:
        raise InvalidInspector("it is damaged") from damage
    try:
        document = msgspec.convert(content, _Document)
    except msgspec.ValidationError as error:
        raise InvalidInspector(printable(error)) from error
    if document.digest != _digest({k: v for k, v in content.items() if k != "digest"}):
        raise InvalidInspector("it was changed after it was written")
    return document


class _Document(Facts, frozen=True, kw_only=True):
    """The keys of the file; see docs/inspector-format.md."""

    format: Literal["sihwa-verification"]
    format_version: Literal[2]
    inspector: str
    graphs: tuple[Sha256, ...]
    created: Annotated[str, Meta(max_length=60)]
    code_version: Annotated[str, Meta(max_length=60)]
    images: Annotated[int, Meta(ge=1)]
    proof: Annotated[tuple[ParityProof, ...], Meta(max_length=100)]
    digest: Sha256


def _graphs(bundle: Bundle) -> list[str]:
    """SHA-256 of what decides: the graph, the weights, the INT8 model; of those that are there."""
    parts = (bundle.graph, bundle.weights, bundle.int8_model)
    return [sha256_of_bytes(part) for part in parts if part is not None]


def _digest(content: dict[str, Any]) -> str:
    return sha256_of_bytes(canonical_json(content).encode())


def _reason(error: Exception) -> str:
    return f"{getattr(error, 'strerror', None) or error}"[:200]
