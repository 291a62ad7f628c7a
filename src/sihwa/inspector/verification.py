"""The file in which `sihwa verify` stores its proofs, beside the inspector.

It allows runtimes on the machine it was made on. The SHA-256 of the inspector's files binds it to
the inspector, and a digest shows damage. If anything is wrong with it, it does not count, and the
reference decides, which needs no proof.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

import sihwa
from sihwa.errors import InvalidInspector
from sihwa.inspector.bundle import Bundle
from sihwa.inspector.card import ParityProof
from sihwa.inspector.strict_json import Facts, Sha256, canonical_json, parse_json, printable
from sihwa.storage import sha256_of_bytes, write_json

_MAX_BYTES = 2**20


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
    parts = (bundle.graph, bundle.weights, bundle.int8_model)
    return [sha256_of_bytes(part) for part in parts if part is not None]


def _digest(content: dict[str, Any]) -> str:
    sealed = {key: value for key, value in content.items() if key != "digest"}
    return sha256_of_bytes(canonical_json(sealed).encode())
