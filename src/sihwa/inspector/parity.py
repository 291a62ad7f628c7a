"""The parity proof: does a runtime decide as the trained network did?

Axes: N images, K classes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sihwa.decision import TopClassPolicy
from sihwa.inspector.runtime import Outputs, Runtime

__all__ = ["TOLERANCE", "ParityProof", "prove_parity"]

TOLERANCE = {"fp32": 1e-4, "bf16": 0.05, "fp16": 0.02, "int8": 0.1}
"""Greatest allowed difference in probability, by precision."""


@dataclass(frozen=True)
class ParityProof:
    """How one runtime compared with the reference on real pictures."""

    runtime: str
    version: str
    device: str
    precision: str
    images: int
    flips: int
    greatest_difference: float
    greatest_unknown_difference: float
    tolerance: float
    worst_path: str

    @property
    def proven(self) -> bool:
        """Whether no decision flipped and every probability stayed within the tolerance."""
        return self.images > 0 and not self.flips and self.greatest_difference <= self.tolerance

    def as_dict(self) -> dict[str, Any]:
        """Return what the card keeps; paths of the training machine stay out of it."""
        facts = asdict(self)
        del facts["worst_path"]
        return {**facts, "proven": self.proven}

    def __str__(self) -> str:
        return (
            f"{self.runtime} {self.version} on {self.device} in {self.precision}: {self.flips} of "
            f"{self.images} decisions flip, greatest difference {self.greatest_difference:.1e} "
            f"(allowed {self.tolerance:.0e}) at {self.worst_path}"
        )


def prove_parity(
    runtimes: Sequence[Runtime],
    batches: Iterable[tuple[Sequence[str], NDArray[np.uint8], Outputs]],
    policy: TopClassPolicy,
    tolerance: Mapping[str, float] = TOLERANCE,
) -> list[ParityProof]:
    """Compare runtimes with reference probabilities, in one pass over the pictures.

    A decision flips when the outcome or the top class differs.

    Args:
        runtimes: The runtimes on trial.
        batches: Paths, pictures (N, H, W, 3) and what the reference says of them.
        policy: Turns probabilities into decisions.
        tolerance: Greatest allowed difference in probability, by precision.

    Returns:
        One proof per runtime, in order.
    """
    tallies = [_Tally() for _ in runtimes]
    for paths, image, reference in batches:
        for tally, runtime in zip(tallies, runtimes, strict=True):
            tally.add(paths, runtime.run(image), reference, policy)
    return [
        tally.proof(runtime, tolerance[runtime.choice.precision])
        for tally, runtime in zip(tallies, runtimes, strict=True)
    ]


@dataclass
class _Tally:
    """What has been seen of one runtime; a flipped decision is worse than any difference."""

    images: int = 0
    flips: int = 0
    greatest: float = 0.0
    greatest_unknown: float = 0.0
    worst: tuple[bool, float, str] = (False, -1.0, "")

    def add(
        self,
        paths: Sequence[str],
        outputs: Outputs,
        reference: Outputs,
        policy: TopClassPolicy,
    ) -> None:
        # a probability that is no number differs as much as a probability can
        probability, expected = outputs.probability, reference.probability
        difference = np.nan_to_num(np.abs(probability - expected).max(1), nan=1.0)
        unknown = np.nan_to_num(np.abs(outputs.unknown - reference.unknown), nan=1e9, posinf=1e9)
        pairs = zip(
            policy.decide(probability, outputs.unknown),
            policy.decide(expected, reference.unknown),
            strict=True,
        )
        flipped = [ours != theirs for ours, theirs in pairs]
        self.images += len(flipped)
        self.flips += sum(flipped)
        self.greatest = max(self.greatest, float(difference.max()))
        self.greatest_unknown = max(self.greatest_unknown, float(unknown.max()))
        self.worst = max(self.worst, *zip(flipped, difference.tolist(), paths, strict=True))

    def proof(self, runtime: Runtime, tolerance: float) -> ParityProof:
        choice = runtime.choice
        return ParityProof(
            runtime=choice.runtime,
            version=runtime.version,
            device=choice.device,
            precision=choice.precision,
            images=self.images,
            flips=self.flips,
            greatest_difference=self.greatest,
            greatest_unknown_difference=self.greatest_unknown,
            tolerance=tolerance,
            worst_path=self.worst[2],
        )
