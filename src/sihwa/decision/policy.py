"""Policies: the rule that turns a picture's figures into a decision.

Axes: N images, K classes.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sihwa.errors import ShapeError

__all__ = ["ACCEPT", "REJECT", "REVIEW", "Decision", "Outcome", "TopClassPolicy", "are_numbers"]

Outcome = Literal["accept", "reject", "review"]
ACCEPT: Outcome = "accept"
REJECT: Outcome = "reject"
REVIEW: Outcome = "review"


@dataclass(frozen=True)
class Decision:
    """What to do with a part, and why in a few words."""

    outcome: Outcome
    reason: str


@dataclass(frozen=True)
class TopClassPolicy:
    """Accept a part whose most probable class is an accept class, reject any other.

    A picture unlike all training pictures goes to review instead, whatever its probabilities.
    This policy proves no bound on escapes; it is what a classifier does when nobody has stated
    costs.

    Attributes:
        classes: Class names in the order of the probabilities, K of them.
        accept_classes: Those among them that are good parts; may be empty.
        unknown_threshold: Unknown score above which a picture goes to review; None for never.
    """

    classes: tuple[str, ...]
    accept_classes: tuple[str, ...]
    unknown_threshold: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return what the card keeps besides the classes."""
        return {"kind": "top_class", "unknown_threshold": self.unknown_threshold}

    def decide(
        self, probability: NDArray[np.floating], unknown: NDArray[np.floating]
    ) -> list[Decision]:
        """Decide N pictures.

        Args:
            probability: Class probabilities, (N, K), each in [0, 1].
            unknown: How unlike the training pictures each is, (N,).

        Raises:
            ShapeError: There is not one column per class and one score per picture.

        >>> policy = TopClassPolicy(("good", "scratch"), ("good",), unknown_threshold=3.0)
        >>> [d.outcome for d in policy.decide(np.array([[0.9, 0.1]] * 2), np.array([1.0, 5.0]))]
        ['accept', 'review']
        """
        expected = (len(unknown), len(self.classes))
        if unknown.ndim != 1 or probability.shape != expected:
            raise ShapeError(
                f"probability must be {expected} for {len(self.classes)} classes and unknown "
                f"(N,), but got {probability.shape} and {unknown.shape}"
            )
        tops = probability.argmax(1)
        finite = are_numbers(probability, unknown)
        return [
            self._decide_one(self.classes[top], float(score), bool(sound))
            for top, score, sound in zip(tops, unknown, finite, strict=True)
        ]

    def _decide_one(self, top_class: str, unknown: float, finite: bool) -> Decision:
        if not finite:
            return Decision(REVIEW, "the network gave no number")
        if self.unknown_threshold is not None and unknown > self.unknown_threshold:
            return Decision(REVIEW, f"unlike the training pictures; nearest is {top_class}")
        outcome = ACCEPT if top_class in self.accept_classes else REJECT
        return Decision(outcome, f"top class is {top_class}")


def are_numbers(
    probability: NDArray[np.floating], unknown: NDArray[np.floating]
) -> NDArray[np.bool_]:
    """Return whether the network gave numbers for each picture, (N,); else it has no top class.

    Args:
        probability: Class probabilities, (N, K).
        unknown: Unknown scores, (N,).

    >>> are_numbers(np.array([[0.9, 0.1], [np.nan, 0.1]]), np.array([1.0, 1.0])).tolist()
    [True, False]
    """
    finite: NDArray[np.bool_] = np.isfinite(probability).all(1) & np.isfinite(unknown)
    return finite
