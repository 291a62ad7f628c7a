"""The parity proof: how one runtime compared with the reference, and whether it may decide."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from sihwa.inspector.runtime_choice import RuntimeChoice

Name = Annotated[str, Meta(max_length=60)]
Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[float, Meta(ge=0)]
Rate = Annotated[float, Meta(ge=0, le=1e9)]


class ParityProof(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one runtime compared with the reference on real images.

    Attributes:
        runtime, version, device, precision: What was compared.
        processor: Where it ran; the proof holds for this processor and version.
        images: Comparisons; an image compared in several sizes counts several times.
        flips: Comparisons in which outcome or top class differ.
        allowed_flips: More flips than this refuse the runtime.
        greatest_difference: In probability.
        greatest_unknown_difference: In the unknown score.
        tolerance: Greatest allowed difference in probability.
        images_per_second_1: Speed one image at a time, None if not measured.
        images_per_second_32: Speed in batches of 32, None if not measured.
        worst_path: The image that differs most; flips come before any difference. It is not kept
            in files: paths of the training machine do not ship.
    """

    runtime: Name
    version: Name
    device: Name
    precision: Name
    processor: Annotated[str, Meta(max_length=200)]
    images: Count
    flips: Count
    allowed_flips: Count
    greatest_difference: Positive
    greatest_unknown_difference: Positive
    tolerance: Positive
    images_per_second_1: Rate | None = None
    images_per_second_32: Rate | None = None
    worst_path: str = ""

    @property
    def choice(self) -> RuntimeChoice:
        """The runtime that was compared."""
        return RuntimeChoice(self.runtime, self.device, self.precision)

    @property
    def proven(self) -> bool:
        """Whether flips and differences stay within what is allowed."""
        return not self._faults()

    def verdict(self) -> str:
        """Say in one sentence whether the runtime is proven or refused, and why.

        Terminal, README, card and report all print this sentence.
        """
        name = f"{self.runtime} {self.version} {self.device} {self.precision}"
        return f"{name}: {self.outcome()}"

    def outcome(self) -> str:
        """Return the verdict without the runtime's name."""
        if faults := self._faults():
            return f"refused, {' and '.join(faults)}"
        return (
            f"proven, {self.flips} of {self.images} decisions flip, probabilities differ by at "
            f"most {self.greatest_difference:.1e}"
        )

    def speed(self) -> str:
        """Say how fast the runtime is."""
        if self.images_per_second_1 is None or self.images_per_second_32 is None:
            return "speed not measured"
        return (
            f"{self.images_per_second_1:.0f} images/s one by one, "
            f"{self.images_per_second_32:.0f} in batches of 32"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return what the card and the verification store."""
        facts = msgspec.structs.asdict(self)
        del facts["worst_path"]
        return facts

    def _faults(self) -> list[str]:
        if not self.images:
            return ["no image was compared"]
        faults = []
        if self.flips > self.allowed_flips:
            faults.append(
                f"{self.flips} of {self.images} decisions flip (allowed: {self.allowed_flips})"
            )
        if not self.greatest_difference <= self.tolerance:
            faults.append(
                f"a probability differs by {self.greatest_difference:.1e} (allowed: "
                f"{self.tolerance:.0e})"
            )
        return faults
