"""From calibration images to a policy, and to what they prove of it.

Axes: n calibration images, K classes.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sihwa.decision.bounds import (
    Bound,
    allowed_hits,
    border_above,
    border_below,
    bound_of,
    least_provable,
)
from sihwa.decision.calibration import Calibration, Claim
from sihwa.decision.config import (
    CostConfig,
    DecisionConfig,
    EscapeBoundConfig,
    EvenOddsConfig,
    SelectiveConfig,
)
from sihwa.decision.policy import Policy, ThresholdPolicy, TopClassPolicy, defect_probability
from sihwa.decision.unknown import far_threshold, unknown_threshold
from sihwa.errors import ConfigError
from sihwa.evaluation import images_to_prove

Array = NDArray[np.floating]


@dataclass(frozen=True)
class FittedPolicy:
    """A policy, and what is proven of it."""

    policy: Policy
    claims: tuple[Claim, ...] = ()
    unknown_note: str = ""
    """Why the rate of images called unknown is not promised; empty if it is."""


def require_provable(config: DecisionConfig, images: Calibration) -> None:
    """Refuse a policy that these images cannot prove, whatever the network will say of them.

    Only classes, labels and groups are looked at, so it can be called before the training.

    Raises:
        ConfigError: There are too few images, a class is unknown, or the policy needs accept
            classes and there are none.
    """
    if isinstance(config, EscapeBoundConfig | CostConfig) and not images.accept_classes:
        raise ConfigError(
            f"decision={config.name} needs a class that passes: name it with "
            '"dataset.accept_classes=[NAME]", or use decision=selective'
        )
    if config.per == "part":
        if images.groups_of(np.arange(len(images.group))) is None:
            raise ConfigError(
                "decision.per=part: no two calibration images show one part. Name the parts with "
                "dataset.group, or use decision.per=image"
            )
        images = images.per_part()
    if isinstance(config, CostConfig) and len(np.unique(images.is_defect)) < 2:
        raise ConfigError(
            "decision=cost needs calibration images of good parts and of defects; there are "
            f"{(~images.is_defect).sum()} and {images.is_defect.sum()}. Add images, or use "
            "decision=top_class"
        )
    if not isinstance(config, EscapeBoundConfig | SelectiveConfig):
        return
    for what, rate, rows in _asked(config, images):
        least = _least(rows, images, config)
        if not len(rows) or (least > rate and not config.best_provable):
            raise _not_provable(what, rate, least, len(rows), config)


def fit_policy(config: DecisionConfig, images: Calibration) -> FittedPolicy:
    """Fit the policy that the settings ask for.

    Raises:
        ConfigError: The calibration images cannot prove what is asked for, or the policy needs
            accept classes and there are none.
    """
    require_provable(config, images)
    names = images.classes, images.accept_classes
    limit, note = _unknown_limit(images.unknown, config.unknown_rate)
    claims: tuple[Claim, ...] = ()
    policy: Policy
    if config.per == "part":
        images = images.per_part()
    match config:
        case EscapeBoundConfig():
            low, high, claims = _bounded_thresholds(config, images)
            policy = ThresholdPolicy(
                *names, unknown_threshold=limit, accept_at_most=low, reject_at_least=high
            )
        case CostConfig():
            low, high = cost_thresholds(config, float(images.is_defect.mean()))
            policy = ThresholdPolicy(
                *names, unknown_threshold=limit, accept_at_most=low, reject_at_least=high
            )
        case SelectiveConfig():
            least, claim = _least_probability(config, images)
            claims = (claim,)
            policy = TopClassPolicy(*names, unknown_threshold=limit, least_probability=least)
        case EvenOddsConfig() if images.accept_classes:
            policy = ThresholdPolicy(
                *names, unknown_threshold=limit, accept_at_most=0.5, reject_at_least=0.5
            )
        case _:
            policy = TopClassPolicy(*names, unknown_threshold=limit)
    return FittedPolicy(policy, claims, note)


def _unknown_limit(score: Array, rate: float) -> tuple[float | None, str]:
    """Return the threshold of the unknown score, and why its rate is not promised."""
    if rate == 0:
        return None, ""
    limit = unknown_threshold(score, rate)
    if limit is not None:
        return limit, ""
    return far_threshold(score), (
        f"decision.unknown_rate={rate:g} takes {math.ceil(1 / rate - 1 - 1e-9):,} calibration "
        f"images, and there are {len(score):,}: images twice as far from the training images as "
        "any of them go to review, and no rate is promised"
    )


def _asked(
    config: EscapeBoundConfig | SelectiveConfig, images: Calibration
) -> list[tuple[str, float, NDArray[np.integer]]]:
    """Return each rate to be proven: its name, the rate, and the rows that it is about."""
    if isinstance(config, SelectiveConfig):
        return [("errors", config.errors, np.arange(len(images.label)))]
    asked = [("escapes", config.escapes, np.flatnonzero(images.is_defect))]
    defects = [one for one in images.classes if one not in images.accept_classes]
    for name, rate in config.class_escapes.items():
        if name not in defects:
            raise ConfigError(
                f"decision.class_escapes: no defect class {name!r}; classes: {', '.join(defects)}"
            )
        rows = np.flatnonzero(images.label == images.classes.index(name))
        asked.append((f"escapes of {name}", rate, rows))
    return [*asked, ("overkill", config.overkill, np.flatnonzero(~images.is_defect))]


def _least(
    rows: NDArray[np.integer], images: Calibration, config: EscapeBoundConfig | SelectiveConfig
) -> float:
    return least_provable(images.groups_of(rows), len(rows), config.confidence)


def _not_provable(
    what: str, rate: float, least: float, count: int, config: EscapeBoundConfig | SelectiveConfig
) -> ConfigError:
    setting = "class_escapes" if " of " in what else what
    unit = f"{config.per}s"
    kind = {"escapes": f"{unit} with defects", "overkill": f"good {unit}", "errors": unit}.get(
        what, f"{unit} of that class"
    )
    if not count:
        return ConfigError(f"decision.{setting}: there are no calibration {kind} to prove {what}")
    needed = images_to_prove(rate, config.confidence)
    return ConfigError(
        f"decision.{setting}: {what} of at most {rate:.4g} at {config.confidence:.4g} confidence "
        f"takes {needed:,} independent calibration {kind}; there are {count:,}, "
        f"which prove {math.ceil(least * 1e4) / 1e4:g} at best. Ask for that, take more {unit}, or "
        "take the best that can be proven with decision.best_provable=true"
    )


def _bounded_thresholds(
    config: EscapeBoundConfig, images: Calibration
) -> tuple[float, float, tuple[Claim, ...]]:
    """Return the greatest P(defect) to accept, the least to reject, and what is proven."""
    score = defect_probability(images.probability, images.classes, images.accept_classes)
    accept_at_most, reject_at_least, claims = 1.0, 0.0, []
    for what, rate, rows in _asked(config, images):
        is_overkill = what == "overkill"
        order = rows[np.argsort(-score[rows] if is_overkill else score[rows], kind="stable")]
        group = images.groups_of(order)
        proven = max(rate, _least(order, images, config))
        allowed = allowed_hits(group, len(order), proven, config.confidence)
        assert allowed is not None
        first_kept = float(score[order[allowed]])
        if is_overkill:
            reject_at_least = border_above(first_kept, score)
        else:
            accept_at_most = min(accept_at_most, border_below(first_kept, score))
        hit = score[order] > first_kept if is_overkill else score[order] < first_kept
        claims.append(_claim(what, bound_of(hit, group, config.confidence), config))
    return accept_at_most, max(accept_at_most, reject_at_least), tuple(claims)


def _claim(what: str, bound: Bound, config: EscapeBoundConfig | SelectiveConfig) -> Claim:
    occurrences, images = bound.occurrences, bound.images
    return Claim(what, bound.rate, config.confidence, occurrences, images, config.per)


def _least_probability(config: SelectiveConfig, images: Calibration) -> tuple[float, Claim]:
    """Return the least probability of a decided image, and what is proven of the decided ones.

    Images are decided from the surest down. The search begins where enough are decided to prove
    the rate at all, which depends on their number alone.
    """
    top = images.probability.max(axis=1).astype(np.float64)
    rows = np.argsort(-top, kind="stable")
    wrong = (images.probability.argmax(axis=1) != images.label)[rows]
    rate = max(config.errors, _least(rows, images, config))
    best, tried = None, 0
    for decided in range(1, len(rows) + 1):
        if decided < len(rows) and top[rows[decided]] == top[rows[decided - 1]]:
            continue  # no threshold lies between equal probabilities
        group = images.groups_of(rows[:decided])
        if not tried and least_provable(group, decided, config.confidence) > rate:
            continue
        found = bound_of(wrong[:decided], group, config.confidence)
        tried = tried or decided
        if found.rate > rate:
            break
        best = decided, found
    if best is None:
        raise ConfigError(
            f"decision.errors={rate:.4g} cannot be proven: {wrong[:tried].sum()} of the {tried} "
            "surest calibration images get the wrong class. Ask for more errors, or check these "
            "labels"
        )
    decided, found = best
    border = border_below(float(top[rows[decided - 1]]), top)
    return border, _claim("errors", found, config)


def cost_thresholds(config: CostConfig, share: float) -> tuple[float, float]:
    """Return the thresholds of P(defect) at which the expected cost of the decisions is equal.

    Accepting costs p · escape, rejecting (1 - p) · overkill, reviewing `review`, where p is the
    probability of a defect on the line. It is that of the data set with the odds shifted by the
    ratio of the odds of the two shares of defects.

    Args:
        config: Costs and prevalence.
        share: Share of defective images among the calibration images, in (0, 1).

    Returns:
        The greatest P(defect) to accept and the least to reject, equal if reviewing never pays.

    Source: Chow 1970, "On optimum recognition error and reject tradeoff"; Elkan 2001, "The
    foundations of cost-sensitive learning", for the shifted odds.

    >>> costs = CostConfig("line", escape=100, overkill=10, review=2)
    >>> [round(one, 3) for one in cost_thresholds(costs, 0.5)]
    [0.02, 0.8]
    """
    even = config.overkill / (config.overkill + config.escape)
    low = min(config.review / config.escape, even)
    high = max(1 - config.review / config.overkill, even)
    prevalence = share if config.prevalence is None else config.prevalence
    shift = share / (1 - share) * (1 - prevalence) / prevalence
    return _shifted(low, shift), _shifted(high, shift)


def _shifted(probability: float, shift: float) -> float:
    odds = probability / (1 - probability) * shift
    return odds / (1 + odds)
