"""JSON from outside, read strictly, and JSON written in one spelling."""

import json
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from sihwa.errors import InvalidInspector

MAX_CARD_BYTES = 2 * 2**20

Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
# the length, too: $ also matches before a line break at the end
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", min_length=64, max_length=64)]


class Facts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group of facts in the card, read strictly."""


def parse_json(content: bytes, where: str) -> dict[str, Any]:
    """Read a JSON object of at most `MAX_CARD_BYTES`: UTF-8, no NaN or infinity."""
    if len(content) > MAX_CARD_BYTES:
        raise InvalidInspector(f"{where}: the JSON is longer than {MAX_CARD_BYTES} bytes")
    try:
        value: dict[str, Any] = msgspec.json.decode(content, type=dict[str, Any])
    except (ValueError, RecursionError) as error:
        raise InvalidInspector(f"{where}: not JSON: {printable(error)}. Copy it again") from error
    return value


def printable(text: object) -> str:
    """Return a text for a message: on one line, at most 200 letters; it may come from a file."""
    flat = " ".join(str(text).split())[:200]
    return "".join(letter if letter.isprintable() else "?" for letter in flat)


def canonical_json(value: object) -> str:
    """Return JSON in one spelling: sorted keys, no spaces, UTF-8 letters kept.

    Raises:
        ValueError: It holds NaN or infinity.
    """
    return json.dumps(
        value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    )
