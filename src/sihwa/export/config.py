"""How an inspector is exported and proven."""

from dataclasses import dataclass

from sihwa.errors import ConfigError

MAX_IMAGES = 200


@dataclass
class ExportConfig:
    """How the inspector is proven before it ships."""

    enabled: bool = True
    """Whether to make an inspector; without, a run ends with its figures, which takes less time."""
    max_difference: float = 1e-4
    """Greatest allowed difference in probability between the float32 graph and the network."""
    int8: bool = False
    """Whether to make an INT8 model of the graph, which leaves close calls to float32; kept only if
    it decides alike and is faster. Making it takes some minutes."""
    max_int8_flips: int = 0
    """How many test images the INT8 model may decide otherwise, at least 0."""
    images: int = 32
    """How many calibration images the inspector keeps, so that the PC that will run it can
    verify it on real ones: 0 to 200. Whoever gets the inspector gets them too."""

    def __post_init__(self) -> None:
        """Reject a tolerance that would let anything pass."""
        if not 0 < self.max_difference <= 0.01:
            raise ConfigError(
                f"export.max_difference must be in (0, 0.01], got {self.max_difference}"
            )
        if self.max_int8_flips < 0:
            raise ConfigError(
                f"export.max_int8_flips must be at least 0, got {self.max_int8_flips}"
            )
        if self.int8 and not self.enabled:
            raise ConfigError(
                "export.int8=true needs an inspector to add the INT8 model to, which export=none "
                "does not make; leave one of them out"
            )
        if not 0 <= self.images <= MAX_IMAGES:
            raise ConfigError(f"export.images must be in [0, {MAX_IMAGES}], got {self.images}")
