"""Settings of the export."""

from dataclasses import dataclass

from sihwa.errors import ConfigError, check_settings

MAX_IMAGES = 200


@dataclass
class ExportConfig:
    """How the inspector is proven before it ships."""

    enabled: bool = True
    """Whether to make an inspector; without it, a run ends after its figures, which is faster."""
    max_difference: float = 1e-4
    """Greatest allowed difference in probability between the float32 graph and the network."""
    int8: bool = False
    """Whether to make an INT8 model, whose close calls are re-run in float32. It is kept only if it
    is proven and faster. Takes some minutes."""
    max_int8_flips: int = 0
    """How many decisions on test images the INT8 model may flip, at least 0."""
    fixed_size: bool = False
    """Whether to add inspector.fixed.onnx, for one image that is already resized: for OpenCV and
    other runtimes without free sizes or uint8 input. The network must see whole images, stretched:
    no tiles, letterbox or region."""
    images: int = 32
    """How many calibration images to keep in the inspector for `sihwa verify`, 0 to 200. Everyone
    who gets the inspector gets them too."""

    def __post_init__(self) -> None:
        check_settings("export.", self, max_difference="(0, 0.01]", images=f"[0, {MAX_IMAGES}]")
        if self.max_int8_flips < 0:
            raise ConfigError(
                f"export.max_int8_flips must be at least 0, got {self.max_int8_flips}"
            )
        for name in ("int8", "fixed_size"):
            if getattr(self, name) and not self.enabled:
                raise ConfigError(
                    f"export.{name}=true needs an inspector, but export=none makes none; leave one "
                    "out"
                )
