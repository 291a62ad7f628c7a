"""One comparison of a runtime with the reference, as the card and the verification keep it."""

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
        processor: What it ran on; a proof holds there, with that version.
        images: Images compared.
        flips: Decisions that differ.
        allowed_flips: More than these refuse the combination.
        greatest_difference: In probability.
        greatest_unknown_difference: In the unknown score.
        tolerance: Greatest allowed difference in probability.
        images_per_second_1: Speed one image at a time, None if not measured.
        images_per_second_32: Speed in batches of 32, None if not measured.
        worst_path: The image that differs most; a flipped decision comes before any difference.
            It is not kept in files: paths of the training machine do not ship.
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
        """The combination that was compared."""
        return RuntimeChoice(self.runtime, self.device, self.precision)

    @property
    def proven(self) -> bool:
        """Whether at most the allowed decisions flipped and no probability left the tolerance."""
        kept = self.flips <= self.allowed_flips and self.greatest_difference <= self.tolerance
        return self.images > 0 and kept

    def as_dict(self) -> dict[str, Any]:
        """Return what the card and the verification keep."""
        facts = msgspec.structs.asdict(self)
        del facts["worst_path"]
        return facts

    def __str__(self) -> str:
        return (
            f"{self.runtime} {self.version} on {self.device} in {self.precision}: {self.flips} of "
            f"{self.images} decisions flip, greatest difference {self.greatest_difference:.1e} "
            f"(allowed {self.tolerance:.0e}) at {self.worst_path}"
        )
