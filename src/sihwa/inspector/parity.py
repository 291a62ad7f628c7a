"""Prove that runtimes decide like a reference, on real images of several sizes.

`sihwa.export` proves every runtime against the trained network before an inspector ships;
`sihwa verify` proves them against ONNX Runtime where the inspector will run.

Axes: N images, H and W image size, K classes.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sihwa.decision import Policy
from sihwa.inspector.card import Card, card_policy
from sihwa.inspector.machine import processor_of
from sihwa.inspector.proof import ParityProof
from sihwa.inspector.runtime.interface import Outputs, Runtime, RuntimeChoice
from sihwa.inspector.runtime.registry import runtime_version
from sihwa.inspector.speed import measure_speed
from sihwa.terminal.progress import progress_bar

TOLERANCE = {"fp32": 1e-4, "bf16": 0.05, "fp16": 0.02, "int8": 0.1}
"""Greatest allowed difference in probability, by precision."""

Images = NDArray[np.uint8]

_RESIZED = 32  # about as many images are also compared in other sizes
_OTHER_SIZES = ((0.45, 0.45), (1.6, 1.6), (0.7, 1.3))
"""Height and width as a share of the image's own: smaller, larger, and another aspect ratio."""
_MOST_PIXELS = 4_000_000


@dataclass(frozen=True)
class ProofImages:
    """The images to prove runtimes on."""

    batches: Iterable[tuple[Sequence[str], Images]]
    """Names, and images of one size, (N, H, W, 3); read once."""
    count: int
    """Of all images, to pick evenly those that are also compared in other sizes."""
    timed: Callable[[], Images]
    """Returns images for measuring speed, (N, H, W, 3); called after the last batch."""


def prove(
    reference: Callable[[Images], Outputs],
    candidates: Sequence[Runtime],
    images: ProofImages,
    card: Card,
    tolerance: Mapping[str, float],
    sampled: RuntimeChoice | None = None,
) -> list[ParityProof]:
    """Compare runtimes as `compare` does, and measure how fast each is."""
    proofs = compare(reference, candidates, images, card, tolerance, sampled)
    rates = measure_speed(candidates, images.timed())
    return [
        msgspec.structs.replace(
            proof, images_per_second_1=round(one, 1), images_per_second_32=round(many, 1)
        )
        for proof, (one, many) in zip(proofs, rates, strict=True)
    ]


def compare(
    reference: Callable[[Images], Outputs],
    candidates: Sequence[Runtime],
    images: ProofImages,
    card: Card,
    tolerance: Mapping[str, float],
    sampled: RuntimeChoice | None = None,
) -> list[ParityProof]:
    """Compare runtimes with a reference on images in their own and other sizes.

    A decision flips if its outcome or its top class differs. `reference` returns what images
    (N, H, W, 3) should give, and `tolerance` replaces `TOLERANCE` for some precisions. For the
    candidate `sampled`, which shares the reference's code, the images that are compared in other
    sizes, too, are enough. There is one proof per candidate, in order.
    """
    policy = card_policy(card)
    tallies = [_Tally() for _ in candidates]

    def add(names: Sequence[str], batch: Images, some: Sequence[int]) -> None:
        expected = reference(batch)
        for tally, runtime in zip(tallies, candidates, strict=True):
            if runtime.choice != sampled:
                tally.add(names, runtime.run(batch), expected, policy)
            elif some:
                taken = expected._replace(
                    probability=expected.probability[some], unknown=expected.unknown[some]
                )
                tally.add([names[i] for i in some], runtime.run(batch[some]), taken, policy)

    step, place = max(1, images.count // _RESIZED), 0
    with progress_bar("proving", images.count) as advance:
        for names, batch in images.batches:
            some = [i for i in range(len(batch)) if (place + i) % step == 0]
            add(names, batch, some)
            if some:
                for others, resized in in_other_sizes([names[i] for i in some], batch[some]):
                    add(others, resized, list(range(len(resized))))
            place += len(batch)
            advance(len(batch))
    return [
        tally.proof(runtime.choice, card, {**TOLERANCE, **tolerance})
        for tally, runtime in zip(tallies, candidates, strict=True)
    ]


def in_other_sizes(paths: Sequence[str], image: Images) -> Iterator[tuple[list[str], Images]]:
    """Yield images (N, H, W, 3) smaller, larger and in another aspect ratio, with their names.

    The camera of a line may change. None has more than 4 megapixels, so large images come smaller
    only; at least one size is another than their own.
    """
    height, width = image.shape[1:3]
    sizes = dict.fromkeys(_other_size(height, width, *shares) for shares in _OTHER_SIZES)
    for size in sizes:
        named = [f"{path} at {size[0]} × {size[1]}" for path in paths]
        resized = [Image.fromarray(one).resize(size, Image.Resampling.BILINEAR) for one in image]
        yield named, np.stack([np.asarray(one) for one in resized])


def _other_size(height: int, width: int, tall: float, wide: float) -> tuple[int, int]:
    """Return width and height as shares of an image's own, within the largest allowed size."""
    fitting = min(1.0, math.sqrt(_MOST_PIXELS / (height * tall * width * wide)))
    return max(1, round(width * wide * fitting)), max(1, round(height * tall * fitting))


@dataclass
class _Tally:
    """The comparisons of one runtime so far."""

    images: int = 0
    flips: int = 0
    greatest: float = 0.0
    greatest_unknown: float = 0.0
    worst: tuple[bool, float, str] = (False, -1.0, "")

    def add(
        self, names: Sequence[str], outputs: Outputs, expected: Outputs, policy: Policy
    ) -> None:
        apart = np.abs(outputs.probability - expected.probability)
        apart[np.isnan(outputs.probability) & np.isnan(expected.probability)] = 0
        # treat NaN on one side as the greatest difference
        difference = np.nan_to_num(apart.max(1), nan=1.0)
        unknown = np.nan_to_num(np.abs(outputs.unknown - expected.unknown), nan=1e9, posinf=1e9)
        pairs = zip(
            policy.decide(outputs.probability, outputs.unknown),
            policy.decide(expected.probability, expected.unknown),
            strict=True,
        )
        flipped = [ours != theirs for ours, theirs in pairs]
        self.images += len(flipped)
        self.flips += sum(flipped)
        self.greatest = max(self.greatest, float(difference.max()))
        self.greatest_unknown = max(self.greatest_unknown, float(unknown.max()))
        self.worst = max(self.worst, *zip(flipped, difference.tolist(), names, strict=True))

    def proof(
        self, choice: RuntimeChoice, card: Card, tolerance: Mapping[str, float]
    ) -> ParityProof:
        is_int8 = choice.precision == "int8"
        return ParityProof(
            runtime=choice.runtime,
            version=runtime_version(choice.runtime) or "unknown",
            device=choice.kind,
            precision=choice.precision,
            processor=processor_of(choice.device),
            images=self.images,
            flips=self.flips,
            allowed_flips=card.int8.allowed_flips if card.int8 and is_int8 else 0,
            greatest_difference=self.greatest,
            greatest_unknown_difference=self.greatest_unknown,
            tolerance=tolerance[choice.precision],
            worst_path=self.worst[2],
        )
