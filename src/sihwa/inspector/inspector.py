"""A loaded inspector: images in, decisions out.

Axes: N images, H and W image size, K classes, D embedding width.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sihwa.decision import REVIEW, Decision, is_finite
from sihwa.errors import InvalidInspector, UnreadableImage
from sihwa.images import Decoding, batches_by_size, decode_image, is_one_colour, read_image
from sihwa.inspector.bundle import Bundle, read_bundle
from sihwa.inspector.card import Card, card_policy
from sihwa.inspector.choose_runtime import choose_runtime
from sihwa.inspector.evidence import EvidenceBox, checked_image, evidence_box
from sihwa.inspector.runtime.interface import Outputs, Runtime, RuntimeChoice
from sihwa.inspector.runtime.registry import create_runtime
from sihwa.inspector.signature import run_checked, try_out
from sihwa.inspector.verify import Verification, read_verification

Image = NDArray[np.uint8] | str | Path | bytes
_NOTHING = np.zeros(0, np.float32)
ONE_COLOUR = Decision(REVIEW, "all pixels are the same")
"""A dead lamp or a covered lens: such an image is accepted under no policy."""


@dataclass(frozen=True)
class Inspection:
    """What the inspector says of one image.

    Attributes:
        decision: Accept, reject or review, and why.
        top_class: The most probable class; None for an image that could not be read, or for
            which the network gave NaN or inf.
        probability: Of the card's classes, (K,), as the network gave them, NaN included; empty
            if unread.
        evidence: The map of the top class, (h, w); empty if there is none.
        box: Around the strongest evidence, in pixels, if any.
        embedding: (D,); empty if unread.
        unknown: How unlike the training images it is; about 1 is ordinary; None if unread.
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

    `explanation` says which runtime this is and why it was chosen, for people. `decoding` says how
    image files are read; its `max_pixels` may be raised. `policy` turns outputs into decisions.
    """

    def __init__(self, card: Card, runtime: Runtime, explanation: str) -> None:
        self.card = card
        self.runtime = runtime
        self.explanation = explanation
        self.decoding = Decoding(white=card.white, setting="max_pixels of the inspector's decoding")
        self.policy = card_policy(card)

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
        found: dict[int, Inspection] = {}

        def readable() -> Iterator[tuple[int, NDArray[np.uint8]]]:
            for place, one in enumerate(given):
                try:
                    yield place, _as_image(one, self.decoding)
                except UnreadableImage as error:
                    found[place] = unread(error.reason)

        for places, batch in batches_by_size(readable()):
            found.update(zip(places, self.predict_batch(batch), strict=True))
        return [found[place] for place in range(len(given))]

    def predict_batch(self, image: NDArray[np.uint8]) -> list[Inspection]:
        """Inspect images of one size, (N, H, W, 3), uint8 RGB; raises as `predict` does."""
        outputs = run_checked(self.card, self.runtime, image)
        inspections = self.interpret(outputs, image.shape[1], image.shape[2])
        return [
            replace(one, decision=ONE_COLOUR) if one.top_class and is_one_colour(pixels) else one
            for one, pixels in zip(inspections, image, strict=True)
        ]

    def interpret(self, outputs: Outputs, height: int, width: int) -> list[Inspection]:
        """Turn the graph's outputs for N images of height × width pixels into inspections."""
        decisions = self.policy.decide(outputs.probability, outputs.unknown)
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


def load_inspector(
    path: str | Path,
    runtime: str = "auto",
    device: str = "cpu",
    precision: str = "auto",
    threads: int = 0,
    batch_size: int = 1,
) -> Inspector:
    """Check an inspector and load it into a runtime.

    `auto` becomes the fastest combination that was proven to decide on this machine as the trained
    network does: by `sihwa verify`, or at export on a machine of the same processor and versions.
    Where no combination was proven, it becomes float32 in ONNX Runtime, the reference.

    Args:
        path: The inspector folder, or its .onnx file.
        runtime: `auto`, `onnxruntime`, `openvino` or `torch`.
        device: `cpu`, `cuda` or `cuda:N`.
        precision: `auto`, `fp32`, `bf16`, `fp16` or `int8`. A lower precision than float32, asked
            for by name, must be proven here.
        threads: Threads of one inference; 0 lets the runtime decide.
        batch_size: Images that will come at once; `auto` takes the fastest for that.

    Raises:
        InvalidInspector: The inspector is missing, damaged, foreign or of another version.
        ConfigError: There is no runtime, device or precision of that name.
        RuntimeUnavailable: The runtime is not installed, or refused by its proof.
    """
    bundle = read_bundle(Path(path))
    verification = read_verification(Path(path), bundle)
    try:
        asked = RuntimeChoice(runtime, device, precision)
        return open_bundle(bundle, verification, asked, threads=threads, batch_size=batch_size)
    except InvalidInspector as error:
        raise InvalidInspector(f"{path}: {error}") from error


def open_bundle(
    bundle: Bundle,
    verification: Verification,
    asked: RuntimeChoice,
    *,
    threads: int = 0,
    batch_size: int = 1,
) -> Inspector:
    """Load an inspector that was read already, perhaps on another machine; as `load_inspector`."""
    choice, reason = choose_runtime(bundle, verification, asked, batch_size)
    loaded = create_runtime(bundle, choice, threads)
    try_out(bundle.card, loaded)
    return Inspector(bundle.card, loaded, f"{choice} ({reason})")


def unread(reason: str) -> Inspection:
    """Return the inspection of an image that could not be read: review, with the reason."""
    return Inspection(
        Decision(REVIEW, "unreadable"), None, _NOTHING, _NOTHING, None, _NOTHING, error=reason
    )


def _as_image(image: Image, decoding: Decoding) -> NDArray[np.uint8]:
    if isinstance(image, bytes):
        return decode_image(image, "image given as bytes", decoding)
    if isinstance(image, (str, Path)):
        return read_image(str(image), decoding)
    return checked_image(image)
