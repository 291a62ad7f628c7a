"""The card: what an inspector is, may decide and was proven to do; JSON inside its graph.

docs/inspector-format.md describes every key; card.schema.json is checked on writing and reading.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema

from sihwa.decision import TopClassPolicy
from sihwa.errors import InvalidInspector
from sihwa.terminal.class_name import class_name_fault

FORMAT = "sihwa-inspector"
FORMAT_VERSION = 1
"""Readers refuse a newer version; a version is raised only when an older reader would err."""
MAX_CARD_BYTES = 2 * 2**20
_MAX_DEPTH = 32

# Two inspectors made alike have one id: what differs from run to run or machine to machine is
# left out of it.
_NOT_IDENTITY = ("id", "created", "environment", "proof")
_DECIDES = ("classes", "accept_classes", "policy", "temperature")


@dataclass(frozen=True)
class Card:
    """Everything a reader needs besides the graph.

    Attributes:
        classes: Class names in the order of the probabilities, K of them.
        accept_classes: Those that are good parts.
        policy: How a decision is made; `kind` names it.
        temperature: Divisor of the logits that calibrates the probabilities, positive.
        network: Name, architecture, input size in pixels, embedding width.
        weights: Source and licence of the pretrained weights.
        dataset: Name, fingerprint, licence, images per class and split.
        training: The configuration of the run, seed included.
        metrics: Figures on the test split with their intervals.
        graph: SHA-256 and length in bytes of the graph before its metadata, and its opset.
        int8: SHA-256 and length in bytes of the INT8 model, how many layers it left in float32,
            the margin within which float32 decides instead, how often that is,
            and how many decisions it may flip; None where there is no twin.
        proof: What each runtime was proven to do at export, or refused for.
        environment: Versions and processor of the machine that exported.
        created: UTC time, ISO 8601.
        code_version: Version of this package.
    """

    classes: tuple[str, ...]
    accept_classes: tuple[str, ...]
    policy: dict[str, Any]
    temperature: float
    network: dict[str, Any]
    weights: dict[str, Any]
    dataset: dict[str, Any]
    training: dict[str, Any]
    metrics: dict[str, Any]
    graph: dict[str, Any]
    created: str
    code_version: str
    int8: dict[str, Any] | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    proof: list[dict[str, Any]] = field(default_factory=list)

    @property
    def id(self) -> str:
        """First 16 hex digits of the SHA-256 over what the inspector is, in canonical JSON."""
        content = {key: value for key, value in self._content().items() if key not in _NOT_IDENTITY}
        return _digest(content)

    @property
    def thresholds_id(self) -> str:
        """First 16 hex digits of the SHA-256 over what turns figures into decisions."""
        return _digest({key: getattr(self, key) for key in _DECIDES})

    def as_dict(self) -> dict[str, Any]:
        """Return the card as it is written, id included."""
        return {**self._content(), "id": self.id}

    def as_json(self) -> str:
        """Return the card as canonical JSON: sorted keys, no spaces, UTF-8 letters kept.

        Raises:
            InvalidInspector: It breaks the schema.
        """
        content = json.loads(canonical_json(self.as_dict()))
        _validate(content, "card")
        return canonical_json(content)

    def _content(self) -> dict[str, Any]:
        return {"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(self)}


def read_card(text: str, where: str) -> Card:
    """Read a card.

    Args:
        text: JSON as written by `Card.as_json`, possibly spread over lines.
        where: Its file, for messages.

    Raises:
        InvalidInspector: Not JSON, not a card, of a newer format, or its id does not fit.
    """
    content = parse_json(text.encode(), where)
    if content.get("format") != FORMAT:
        raise InvalidInspector(f"{where}: expected a card with format {FORMAT!r}")
    _refuse_newer(content, where)
    _validate(content, where)
    fields = {key: content[key] for key in Card.__dataclass_fields__}
    for key in ("classes", "accept_classes"):
        fields[key] = tuple(fields[key])
    card = Card(**fields)
    if card.id != content["id"]:
        raise InvalidInspector(
            f"{where}: the card was changed after it was written: its content has id {card.id}, "
            f"it says {content['id']}"
        )
    return card


def refuse_newer(text: str, where: str) -> None:
    """Refuse a card of a newer format; whatever else it may be is let pass.

    Raises:
        InvalidInspector: With both versions, and how to update.
    """
    try:
        content = parse_json(text.encode(), where)
    except InvalidInspector:
        return
    if content.get("format") == FORMAT:
        _refuse_newer(content, where)


def parse_json(content: bytes, where: str) -> dict[str, Any]:
    """Read a card's JSON, strictly: what two programs could read differently is refused.

    Args:
        content: UTF-8, at most `MAX_CARD_BYTES`.
        where: Its file, for messages.

    Raises:
        InvalidInspector: Too long, nested too deeply, a key twice, NaN or infinity, half a
            character, no UTF-8, no JSON, or no object.
    """
    if len(content) > MAX_CARD_BYTES:
        raise InvalidInspector(f"{where}: the JSON is longer than {MAX_CARD_BYTES} bytes")
    try:
        value = json.loads(
            content.decode(), parse_constant=_refuse_constant, object_pairs_hook=unique_keys
        )
        _refuse_depth(value)
        _refuse_large(value)
        canonical_json(value).encode()  # 1e999 is read as infinity, \ud800 as half a character
    except (ValueError, RecursionError) as error:
        raise InvalidInspector(
            f"{where}: not strict JSON: {str(error)[:200]}. Copy it again"
        ) from error
    if not isinstance(value, dict):
        raise InvalidInspector(f"{where}: expected a JSON object, got {value!r:.60}")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object's members, as `object_pairs_hook` of `json.loads`.

    Raises:
        ValueError: A key comes twice: programs differ in which of them counts.
    """
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError(f"a key comes twice among {list(content)[:5]!r:.120}")
    return content


def _refuse_large(value: object) -> None:
    """Refuse whole numbers that other readers, who have 64 bits for them, read otherwise."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, int) and abs(one) >= 2**63:
            raise ValueError(f"a number has {len(str(one))} digits")
        if isinstance(one, (dict, list)):
            waiting += one.values() if isinstance(one, dict) else one


def _refuse_depth(value: object) -> None:
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            child
            for item in level
            if isinstance(item, (dict, list))
            for child in (item.values() if isinstance(item, dict) else item)
        ]
    if level:
        raise ValueError(f"it is nested more than {_MAX_DEPTH} levels deep")


def _refuse_newer(content: dict[str, Any], where: str) -> None:
    version = content.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise InvalidInspector(
            f"{where}: format version {version} is newer than this program reads "
            f"({FORMAT_VERSION}). Update it: pip install --upgrade sihwa"
        )


def _validate(content: dict[str, Any], where: str) -> None:
    # the first error, not the best one: looking on would compare all items of a hostile list
    error = next(_validator().iter_errors(content), None)
    if error is not None:
        # quoted, because keys come from the file and may hold line breaks
        place = repr("/".join(str(step) for step in error.absolute_path))[:120]
        rule = f"{error.validator} {error.validator_value!r}"
        # the message quotes the value first, so a long one would hide the reason
        reason = error.message if len(error.message) <= 200 else f"expected {rule[:200]}"
        raise InvalidInspector(f"{where}: the card's {place}: {reason}")
    for name in content["classes"]:
        fault = class_name_fault(name)
        if fault:
            raise InvalidInspector(f"{where}: the card's 'classes': {name!a} {fault}")
    strangers = set(content["accept_classes"]) - set(content["classes"])
    if strangers:
        raise InvalidInspector(
            f"{where}: the card's 'accept_classes': {sorted(strangers)[:5]} are not classes"
        )


@cache
def _validator() -> jsonschema.Draft202012Validator:
    return create_validator(card_schema())


def create_validator(schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    """Return a validator for which 3.0 and true are no whole numbers: Python counts with them."""
    base = jsonschema.Draft202012Validator
    checker = base.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    strict = jsonschema.validators.extend(base, type_checker=checker)  # type: ignore[no-untyped-call]
    validator: jsonschema.Draft202012Validator = strict(schema)
    return validator


def card_schema() -> dict[str, Any]:
    """Return the JSON Schema of a card."""
    text = files("sihwa.inspector").joinpath("card.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def canonical_json(value: object) -> str:
    """Return JSON in one spelling: sorted keys, no spaces, UTF-8 letters kept.

    Raises:
        ValueError: It holds NaN or infinity, which JSON has no word for.
    """
    return json.dumps(
        value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    )


def _digest(value: object) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


def card_policy(card: Card) -> TopClassPolicy:
    """Return the policy that a card describes."""
    return TopClassPolicy(
        card.classes, card.accept_classes, unknown_threshold=card.policy["unknown_threshold"]
    )
