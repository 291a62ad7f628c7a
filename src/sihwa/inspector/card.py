"""The card: what an inspector is, may decide and was proven to do; JSON inside its graph.

The types here are the schema: `read_card` refuses what does not fit them. What each key means is
in docs/inspector-format.md.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from sihwa.decision import Policy
from sihwa.errors import InvalidInspector
from sihwa.inspector.network_facts import NetworkFacts, Side
from sihwa.inspector.policy_facts import ClaimFacts, PolicyFacts, make_policy, policy_fault
from sihwa.inspector.proof import ParityProof
from sihwa.inspector.strict_json import (
    Count,
    Facts,
    Positive,
    Sha256,
    Share,
    canonical_json,
    parse_json,
    printable,
)
from sihwa.storage import sha256_of_bytes
from sihwa.terminal.names import class_name_fault

FORMAT = "sihwa-inspector"
FORMAT_VERSION = 3
"""Raised whenever a reader of the version before could decide otherwise or fail."""

# Two inspectors made alike have one id: what differs from run to run or machine to machine is
# left out of it.
_NOT_IDENTITY = ("id", "created", "environment", "proof", "fixed_size")
_DECIDES = ("classes", "accept_classes", "policy", "temperature")

ClassName = Annotated[str, Meta(min_length=1, max_length=255)]
ByteCount = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Created = Annotated[
    str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|\+00:00)$", max_length=25)
]


class WeightsFacts(Facts, frozen=True, kw_only=True):
    """The pretrained weights, and what training made of them."""

    source: str
    licence: str
    sha256: Sha256
    """Of weights.safetensors."""


class DatasetFacts(Facts, frozen=True, kw_only=True):
    """The images it was trained on."""

    name: str
    fingerprint: Sha256
    licence: str
    count: dict[str, dict[str, Count]]
    """Images: class name → split → number."""


class GraphFacts(Facts, frozen=True, kw_only=True):
    """The bytes before the card."""

    sha256: Sha256
    bytes: ByteCount
    opset: Annotated[int, Meta(ge=1)]


class MarginFacts(Facts, frozen=True, kw_only=True):
    """How near a border of the decision float32 decides instead; see `sihwa.decision.Margin`."""

    lead: Positive
    unknown: Positive
    odds: Positive = 0.0


class Int8Facts(Facts, frozen=True, kw_only=True):
    """The INT8 model."""

    sha256: Sha256
    bytes: ByteCount
    float32_layers: Count
    """Convolutions between the first and the evidence map that stayed in float32."""
    margin: MarginFacts
    second_passes: Share
    """Share of the calibration images within the margin."""
    allowed_flips: Count


class FixedSizeFacts(Facts, frozen=True, kw_only=True):
    """The graph for one resized image, for runtimes without free sizes or uint8."""

    sha256: Sha256
    bytes: ByteCount
    input: tuple[Side, Side, Side, Side]
    """Axes of `pixels`: 1, 3, height, width."""
    proof: Annotated[tuple[ParityProof, ...], Meta(max_length=100)] = ()
    """Of images resized as in the graph of the inspector; empty under another policy."""
    pillow_flips: Count | None = None
    """Of as many images, decisions that flip if Pillow resizes them; None if not counted."""


class Card(Facts, frozen=True, kw_only=True):
    """Everything a reader needs besides the graph.

    `training`, `metrics` and `environment` are for people: no decision depends on them.
    """

    classes: Annotated[tuple[ClassName, ...], Meta(min_length=2, max_length=10_000)]
    """In the order of the probabilities, K of them."""
    accept_classes: Annotated[tuple[ClassName, ...], Meta(max_length=10_000)]
    policy: PolicyFacts
    claims: Annotated[tuple[ClaimFacts, ...], Meta(max_length=10_000)] = ()
    temperature: Annotated[float, Meta(gt=0)]
    """Divisor of the logits that calibrates the probabilities; applied in the graph."""
    network: NetworkFacts
    weights: WeightsFacts
    dataset: DatasetFacts
    training: dict[str, Any]
    metrics: dict[str, Any]
    graph: GraphFacts
    created: Created
    code_version: Annotated[str, Meta(min_length=1, max_length=60)]
    int8: Int8Facts | None = None
    fixed_size: FixedSizeFacts | None = None
    """Without such a graph the key is left out."""
    white: tuple[float, float] | None = None
    """Values of 16-bit, 32-bit and floating-point pixels that become 0 and 255. Without it the key
    is left out."""
    environment: dict[str, Any] = msgspec.field(default_factory=dict)
    proof: Annotated[tuple[ParityProof, ...], Meta(max_length=100)] = ()

    @property
    def id(self) -> str:
        """First 16 hex digits of the SHA-256 over what the inspector is, in canonical JSON."""
        return _digest({k: v for k, v in self._content().items() if k not in _NOT_IDENTITY})

    @property
    def thresholds_id(self) -> str:
        """First 16 hex digits of the SHA-256 over what turns outputs into decisions."""
        return _digest({k: v for k, v in self._content().items() if k in _DECIDES})

    def as_dict(self) -> dict[str, Any]:
        """Return the card as it is written, id included."""
        return {**self._content(), "id": self.id}

    def as_json(self) -> str:
        """Return the card as canonical JSON.

        Raises:
            InvalidInspector: It is not a valid card.
        """
        try:
            return canonical_json(self.as_dict())
        except ValueError as error:  # NaN among the open facts
            raise InvalidInspector(f"card: {error}") from error

    def _content(self) -> dict[str, Any]:
        # checked first, which also makes a float of an int where a float is expected
        content: dict[str, Any] = msgspec.to_builtins(_as_card(msgspec.to_builtins(self), "card"))
        for proof in (*content["proof"], *(content["fixed_size"] or {}).get("proof", ())):
            del proof["worst_path"]
        for key in ("white", "fixed_size"):
            if content[key] is None:
                del content[key]
        return {"format": FORMAT, "format_version": FORMAT_VERSION, **content}


def read_card(text: str, where: str) -> Card:
    """Read a card as written by `Card.as_json`; `where` is its file, for messages.

    Raises:
        InvalidInspector: Not a card, of another version of the format, or changed.
    """
    content = parse_json(text.encode(), where)
    if content.pop("format", None) != FORMAT:
        raise InvalidInspector(f"{where}: expected a card with format {FORMAT!r}")
    _check_version(content.pop("format_version", None), where)
    given_id = content.pop("id", None)
    card = _as_card(content, where)
    if card.id != given_id:
        raise InvalidInspector(
            f"{where}: the card was changed after it was written: the id of its content is "
            f"{card.id}, the id in it {given_id!r:.60}"
        )
    if card.as_json() != text:
        # programs differ in what they read where, say, a key comes twice
        raise InvalidInspector(f"{where}: the card is not canonical JSON. Copy it again")
    return card


def _check_version(version: object, where: str) -> None:
    if type(version) is not int:
        raise InvalidInspector(
            f"{where}: expected format_version {FORMAT_VERSION}, got {version!r:.60}"
        )
    if version != FORMAT_VERSION:
        age, advice = ("newer", "Update it: pip install --upgrade sihwa")
        if version < FORMAT_VERSION:
            age, advice = ("older", "Export the inspector again")
        raise InvalidInspector(
            f"{where}: format version {version} is {age} than this program reads "
            f"({FORMAT_VERSION}). {advice}"
        )


def _as_card(content: dict[str, Any], where: str) -> Card:
    try:
        card = msgspec.convert(content, Card)
    except msgspec.ValidationError as error:
        raise InvalidInspector(f"{where}: the card: {printable(error)}") from error
    _check_classes(card, where)
    if card.white and not card.white[0] < card.white[1]:
        raise InvalidInspector(f"{where}: the card's 'white': {list(card.white)} do not ascend")
    return card


def _check_classes(card: Card, where: str) -> None:
    for key in ("classes", "accept_classes"):
        names = getattr(card, key)
        if len(set(names)) != len(names):
            raise InvalidInspector(f"{where}: the card's {key!r} has a name twice")
    for name in card.classes:
        fault = class_name_fault(name)
        if fault:
            raise InvalidInspector(f"{where}: the card's 'classes': {name!a} {fault}")
    fault = policy_fault(card.policy, card.accept_classes)
    if fault:
        raise InvalidInspector(f"{where}: the card's 'policy' {fault}")
    strangers = set(card.accept_classes) - set(card.classes)
    if strangers:
        raise InvalidInspector(
            f"{where}: the card's 'accept_classes': {ascii(sorted(strangers)[:5])[:200]} are not "
            "classes"
        )


def card_policy(card: Card) -> Policy:
    """Return the policy that a card describes."""
    return make_policy(card.policy, card.classes, card.accept_classes)


def _digest(content: dict[str, Any]) -> str:
    return sha256_of_bytes(canonical_json(content).encode())[:16]
