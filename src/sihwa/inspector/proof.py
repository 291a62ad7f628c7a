"""What a proof of a runtime says: in the card, and in the verification beside the inspector."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from sihwa.inspector.runtime.interface import RuntimeChoice
from sihwa.inspector.strict_json import Count, Facts, Positive

Name = Annotated[str, Meta(max_length=60)]
Rate = Annotated[float, Meta(ge=0, le=1e9)]


class ParityProof(Facts, frozen=True, kw_only=True):
    """How one runtime compared with the reference, and whether it may decide.

    It holds for this version and processor. An image compared in several sizes counts several
    times; a flip is another outcome or another top class.
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
    """The image that differs most, flips first; not stored: paths of this machine do not ship."""

    @property
    def choice(self) -> RuntimeChoice:
        """The runtime that was compared."""
        return RuntimeChoice(self.runtime, self.device, self.precision)

    @property
    def proven(self) -> bool:
        """Whether flips and differences stay within what is allowed."""
        return not self._faults()

    def verdict(self) -> str:
        """Say in one sentence, for terminal, README and report, whether it is proven, and why."""
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
        """Return the speed, in words."""
        if self.images_per_second_1 is None or self.images_per_second_32 is None:
            return "speed not measured"
        return (
            f"{self.images_per_second_1:.0f} images/s one by one, "
            f"{self.images_per_second_32:.0f} in batches of 32"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return what card and verification store."""
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
