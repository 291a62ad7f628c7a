"""A loaded inspector: images in, decisions out.

Axes: N images, H and W image size, K classes, D embedding width.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sihwa.decision import REVIEW, Decision, is_finite
from sihwa.errors import ShapeError, UnreadableImage
from sihwa.images import decode_image, read_image
from sihwa.inspector.card import Card, card_policy
from sihwa.inspector.evidence import EvidenceBox, evidence_box
from sihwa.inspector.runtime import Outputs, Runtime
from sihwa.inspector.signature import run_checked

Image = NDArray[np.uint8] | str | Path | bytes
_BATCH = 32
BATCH_BYTES = 16 * 2**20
"""Larger batches of pixels gain nothing: an image of this size keeps a core busy by itself."""
_NOTHING = np.zeros(0, np.float32)


@dataclass(frozen=True)
class Inspection:
    """What the inspector says of one image.

    Attributes:
        decision: Accept, reject or review, and why.
        top_class: The most probable class; None for an image that could not be read, or for
            which the network gave NaN or inf.
        probability: Probabilities of the card's classes, (K,), as the network gave them, which
            may be no numbers; empty if unread.
        evidence: The map of the top class, (h, w); empty if there is none.
        box: Around the strongest evidence, in pixels, if any.
        embedding: (D,); empty if unread.
        unknown: How unlike the training images it is; about 1 is ordinary; None if unread, and
            no number where the network gave none.
        error: Why the image could not be read, else None.
    """

    decision: Decision
    top_class: str | None
    probability: NDArray[np.float32]
    evidence: NDArray[np.float32]
    box: EvidenceBox | None
    embedding: NDArray[np.float32]
    unknown: float | None = None
    error: str | None = None


class Inspector:
    """A graph in a runtime, with the card that gives its numbers meaning.

    Args:
        card: Classes, policy, temperature.
        runtime: The loaded graph.
        explanation: Which runtime this is and why it was chosen, for people.
    """

    def __init__(self, card: Card, runtime: Runtime, explanation: str) -> None:
        self.card = card
        self.runtime = runtime
        self.explanation = explanation
        self._policy = card_policy(card)

    def predict(self, images: Image | Iterable[Image]) -> list[Inspection]:
        """Inspect one image or many, of one size or mixed; safe to call from several threads.

        Args:
            images: Arrays (H, W, 3) uint8 RGB, paths, or the bytes of image files.

        Returns:
            One inspection per image, in order. What cannot be read is sent to review.

        Raises:
            ShapeError: An array is not (H, W, 3) uint8, empty, or longer than 65,535 pixels.
            InvalidInspector: The runtime fails on a size, or gives what the card does not say.
        """
        single = isinstance(images, (np.ndarray, str, Path, bytes))
        given: list[Image] = [images] if single else list(images)  # type: ignore[list-item, arg-type]
        results: list[Inspection | None] = [None] * len(given)
        by_size: dict[tuple[int, ...], list[tuple[int, NDArray[np.uint8]]]] = {}
        for place, one in enumerate(given):
            try:
                image = _as_image(one)
            except UnreadableImage as error:
                results[place] = unread(error.reason)
                continue
            by_size.setdefault(image.shape, []).append((place, image))
        for same in by_size.values():
            step = batch_length(same[0][1])
            for start in range(0, len(same), step):
                batch = same[start : start + step]
                for (place, _), result in zip(batch, self._inspect(batch), strict=True):
                    results[place] = result
        return [result for result in results if result is not None]

    def predict_batch(self, image: NDArray[np.uint8]) -> list[Inspection]:
        """Inspect images of one size, (N, H, W, 3), uint8 RGB.

        Raises:
            ShapeError: They are not (N, H, W, 3) uint8, empty, or longer than 65,535 pixels.
            InvalidInspector: The runtime fails on them, or gives what the card does not say.
        """
        outputs = run_checked(self.card, self.runtime, image)
        return self.interpret(outputs, image.shape[1], image.shape[2])

    def interpret(self, outputs: Outputs, height: int, width: int) -> list[Inspection]:
        """Turn the graph's outputs for N images of height × width pixels into inspections."""
        decisions = self._policy.decide(outputs.probability, outputs.unknown)
        # argmax of NaN is meaningless
        sound = is_finite(outputs.probability, outputs.unknown)
        inspections = []
        for place, decision in enumerate(decisions):
            top = int(outputs.probability[place].argmax()) if sound[place] else None
            evidence = _NOTHING if top is None else outputs.evidence[place, top]
            inspections.append(
                Inspection(
                    decision=decision,
                    top_class=None if top is None else self.card.classes[top],
                    probability=outputs.probability[place],
                    evidence=evidence,
                    box=None if top is None else evidence_box(evidence, height, width),
                    embedding=outputs.embedding[place],
                    unknown=float(outputs.unknown[place]),
                )
            )
        return inspections

    def _inspect(self, batch: Sequence[tuple[int, NDArray[np.uint8]]]) -> list[Inspection]:
        return self.predict_batch(np.stack([image for _, image in batch]))


def batch_length(image: NDArray[np.uint8]) -> int:
    """Return how many images of this size go together: a large one fills memory by itself."""
    return max(1, min(_BATCH, BATCH_BYTES // image.nbytes))


def unread(reason: str) -> Inspection:
    """Return the inspection of an image that could not be read: review, with the reason."""
    return Inspection(
        Decision(REVIEW, "unreadable"), None, _NOTHING, _NOTHING, None, _NOTHING, error=reason
    )


def _as_image(image: Image) -> NDArray[np.uint8]:
    if isinstance(image, bytes):
        return decode_image(image, "image given as bytes")
    if isinstance(image, (str, Path)):
        return read_image(str(image))
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ShapeError(
            f"an image must be (H, W, 3) uint8 RGB but got {image.shape} {image.dtype}"
        )
    return image
