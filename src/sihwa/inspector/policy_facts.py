"""The policy of an inspector and what is proven of it, as its card states them."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from sihwa.decision import Policy, ThresholdPolicy, TopClassPolicy
from sihwa.inspector.strict_json import Count, Facts, Positive, Share


class TopClassFacts(Facts, frozen=True, kw_only=True, tag_field="kind", tag="top_class"):
    """The most probable class decides; see `sihwa.decision.TopClassPolicy`."""

    unknown_threshold: Positive | None
    """Unknown score above which an image goes to review; None for never."""
    least_probability: Share | None = None


class ThresholdFacts(Facts, frozen=True, kw_only=True, tag_field="kind", tag="thresholds"):
    """Thresholds of P(defect) decide; see `sihwa.decision.ThresholdPolicy`."""

    unknown_threshold: Positive | None
    accept_at_most: Share
    reject_at_least: Share


PolicyFacts = TopClassFacts | ThresholdFacts
"""How outputs become a decision."""


class ClaimFacts(Facts, frozen=True, kw_only=True):
    """A rate that the calibration images prove of the policy."""

    rate: Annotated[str, Meta(max_length=300)]
    """`escapes`, `overkill`, `errors`, or `escapes of` a class."""
    bound: Share
    confidence: Share
    occurrences: Count
    images: Count
    per: Literal["image", "part"] = "image"


def make_policy(
    facts: PolicyFacts, classes: tuple[str, ...], accept_classes: tuple[str, ...]
) -> Policy:
    """Return the policy that a card describes."""
    kind = ThresholdPolicy if isinstance(facts, ThresholdFacts) else TopClassPolicy
    return kind(classes, accept_classes, **msgspec.structs.asdict(facts))


def policy_facts(policy: Policy) -> PolicyFacts:
    """Return what a card states of a policy."""
    settings = {
        one.name: getattr(policy, one.name)
        for one in fields(policy)
        if one.name not in ("classes", "accept_classes")
    }
    if isinstance(policy, ThresholdPolicy):
        return ThresholdFacts(**settings)
    return TopClassFacts(**settings)


def policy_fault(facts: PolicyFacts, accept_classes: Sequence[str]) -> str:
    """Return why a policy cannot decide, empty if it can."""
    if not isinstance(facts, ThresholdFacts):
        return ""
    if not accept_classes:
        return "has thresholds, but there is no accept class"
    if facts.reject_at_least < facts.accept_at_most:
        return (
            f"rejects from P(defect) {facts.reject_at_least:g} on, but accepts up to "
            f"{facts.accept_at_most:g}"
        )
    return ""
