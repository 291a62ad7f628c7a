"""Another policy for a finished inspector, from the calibration outputs that it keeps."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from msgspec import structs

from sihwa.decision import DecisionConfig, Policy
from sihwa.decision.calibration import Calibration, Claim
from sihwa.decision.fit_policy import FittedPolicy, fit_policy
from sihwa.errors import InvalidInspector
from sihwa.inspector.bundle import CALIBRATION_NAME, IMAGES_NAME, Bundle, read_bundle, write_bundle
from sihwa.inspector.calibration_file import unpack_calibration
from sihwa.inspector.card import Card
from sihwa.inspector.policy_facts import ClaimFacts, policy_facts


@dataclass(frozen=True)
class Redecided:
    """An inspector under another policy."""

    fitted: FittedPolicy
    images: Calibration
    """What both were made from."""
    before: Card
    after: Card
    """The card with the new policy."""
    has_lost_int8: bool
    """Whether the INT8 model was left out."""


def redecide(inspector: Path, config: DecisionConfig, out: Path | None) -> Redecided:
    """Fit another policy to an inspector, and write it as a new one.

    The network is the same. What was proven or measured of decisions under the old policy is left
    out: the proof of each runtime (run `sihwa verify`), the figures of the decisions, and the INT8
    model, whose margin belongs to the old thresholds. The fixed-size graph stays, unproven.

    Args:
        inspector: An inspector folder.
        config: Settings of the new policy.
        out: The new folder; None writes nothing.

    Raises:
        InvalidInspector: It keeps no calibration outputs, or is damaged.
        ConfigError: The calibration images cannot prove what is asked for.
        StorageError: The new folder cannot be written.
    """
    bundle = read_bundle(inspector)
    images = read_calibration(inspector, bundle)
    fitted = fit_policy(config, images)
    new = _with_policy(bundle, fitted.policy, fitted.claims)
    if out is not None:
        kept = inspector / IMAGES_NAME
        write_bundle(out, new, kept.read_bytes() if kept.exists() else None)
    if config.per == "part":
        images = images.per_part()
    return Redecided(fitted, images, bundle.card, new.card, bundle.int8_model is not None)


def read_calibration(inspector: Path, bundle: Bundle) -> Calibration:
    """Return the calibration outputs that an inspector keeps."""
    if bundle.calibration is None:
        raise InvalidInspector(
            f"{inspector}: it keeps no {CALIBRATION_NAME}, so its thresholds cannot move. Use the "
            "whole folder, or train again"
        )
    card = bundle.card
    outputs = unpack_calibration(
        bundle.calibration, len(card.classes), str(inspector / CALIBRATION_NAME)
    )
    return Calibration(
        classes=card.classes,
        accept_classes=card.accept_classes,
        probability=outputs.probability,
        unknown=outputs.unknown,
        label=outputs.label,
        group=[str(number) for number in outputs.group.tolist()],
    )


def _with_policy(bundle: Bundle, policy: Policy, claims: tuple[Claim, ...]) -> Bundle:
    metrics: dict[str, Any] = {
        name: value for name, value in bundle.card.metrics.items() if name != "decisions"
    }
    fixed = bundle.card.fixed_size
    card = structs.replace(
        bundle.card,
        policy=policy_facts(policy),
        claims=tuple(ClaimFacts(**asdict(claim)) for claim in claims),
        metrics=metrics,
        int8=None,
        fixed_size=fixed and structs.replace(fixed, proof=(), pillow_flips=None),
        proof=(),
    )
    graph = bundle.graph[: card.graph.bytes]
    return replace(bundle, card=card, graph=graph, int8_model=None)
