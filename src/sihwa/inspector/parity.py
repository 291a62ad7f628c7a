"""The parity proof: does a runtime decide as the trained network did?

Axes: N images, K classes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sihwa.decision import TopClassPolicy
from sihwa.inspector.machine import processor_of
from sihwa.inspector.parity_proof import ParityProof
from sihwa.inspector.runtime import Outputs, Runtime, RuntimeChoice, runtime_version

TOLERANCE = {"fp32": 1e-4, "bf16": 0.05, "fp16": 0.02, "int8": 0.1}
"""Greatest allowed difference in probability, by precision."""


# Height and width as a share of the image's own: smaller, larger, and out of shape.
_OTHER_SIZES = ((0.45, 0.45), (1.6, 1.6), (0.7, 1.3))
_MOST_PIXELS = 4_000_000


def in_other_sizes(
    paths: Sequence[str], image: NDArray[np.uint8]
) -> Iterator[tuple[list[str], NDArray[np.uint8]]]:
    """Yield the images smaller, larger and out of shape: a line's camera may be changed.

    Args:
        paths: Their names, N of them.
        image: The images, (N, H, W, 3).

    Yields:
        Names that tell the size, and images (N, H', W', 3).
    """
    height, width = image.shape[1:3]
    for tall, wide in _OTHER_SIZES:
        size = max(1, round(width * wide)), max(1, round(height * tall))
        if size[0] * size[1] > _MOST_PIXELS:
            continue
        named = [f"{path} at {size[0]} × {size[1]}" for path in paths]
        resized = [Image.fromarray(one).resize(size, Image.Resampling.BILINEAR) for one in image]
        yield named, np.stack([np.asarray(one) for one in resized])


def prove_parity(
    runtimes: Sequence[Runtime],
    batches: Iterable[tuple[Sequence[str], NDArray[np.uint8], Outputs]],
    policy: TopClassPolicy,
    tolerance: Mapping[str, float] = TOLERANCE,
    allowed_flips: Mapping[str, int] | None = None,
) -> list[ParityProof]:
    """Compare runtimes with reference probabilities, in one pass over the images.

    A decision flips when the outcome or the top class differs.

    Args:
        runtimes: The runtimes on trial.
        batches: Paths, images (N, H, W, 3) and what the reference says of them.
        policy: Turns probabilities into decisions.
        tolerance: Greatest allowed difference in probability, by precision.
        allowed_flips: How many decisions may differ, by precision; none where nothing is said.

    Returns:
        One proof per runtime, in order.
    """
    tallies = [_Tally() for _ in runtimes]
    for paths, image, reference in batches:
        for tally, runtime in zip(tallies, runtimes, strict=True):
            tally.add(paths, runtime.run(image), reference, policy)
    flips = allowed_flips or {}
    return [
        tally.proof(choice, tolerance[choice.precision], flips.get(choice.precision, 0))
        for tally, choice in zip(tallies, (runtime.choice for runtime in runtimes), strict=True)
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
        # a probability that is no number differs as much as a probability can, unless neither is
        probability, expected = outputs.probability, reference.probability
        apart = np.abs(probability - expected)
        apart[np.isnan(probability) & np.isnan(expected)] = 0
        difference = np.nan_to_num(apart.max(1), nan=1.0)
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

    def proof(self, choice: RuntimeChoice, tolerance: float, allowed_flips: int) -> ParityProof:
        return ParityProof(
            runtime=choice.runtime,
            version=runtime_version(choice.runtime) or "unknown",
            device=choice.kind,
            precision=choice.precision,
            processor=processor_of(choice.device),
            images=self.images,
            flips=self.flips,
            allowed_flips=allowed_flips,
            greatest_difference=self.greatest,
            greatest_unknown_difference=self.greatest_unknown,
            tolerance=tolerance,
            worst_path=self.worst[2],
        )
