"""Decision: from class probabilities to accept, reject or review.

Axes: N images, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sihwa.errors import ShapeError

__all__ = ["ACCEPT", "REJECT", "REVIEW", "Decision", "Outcome", "TopClassPolicy"]

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

    It proves no bound on escapes; it is what a classifier does when nobody has stated costs.

    Attributes:
        classes: Class names in the order of the probabilities, K of them.
        accept_classes: Those among them that are good parts; may be empty.
    """

    classes: tuple[str, ...]
    accept_classes: tuple[str, ...]

    def decide(self, probability: NDArray[np.floating]) -> list[Decision]:
        """Decide N pictures.

        Args:
            probability: Class probabilities, (N, K), each in [0, 1].

        Raises:
            ShapeError: There is not one column per class.

        >>> policy = TopClassPolicy(("good", "scratch"), ("good",))
        >>> policy.decide(np.array([[0.9, 0.1]]))
        [Decision(outcome='accept', reason='top class is good')]
        """
        if probability.ndim != 2 or probability.shape[1] != len(self.classes):
            raise ShapeError(
                f"probability must be (N, {len(self.classes)}) but got {probability.shape}"
            )
        return [self._decide_class(name) for name in top_classes(probability, self.classes)]

    def _decide_class(self, name: str) -> Decision:
        outcome = ACCEPT if name in self.accept_classes else REJECT
        return Decision(outcome, f"top class is {name}")


def top_classes(probability: NDArray[np.floating], classes: Sequence[str]) -> list[str]:
    """Return the most probable class of each picture; of equals, the first."""
    return [classes[index] for index in probability.argmax(1)]
