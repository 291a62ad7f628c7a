"""Settings of augmentation."""

from dataclasses import dataclass

from sihwa.errors import ConfigError, check_settings

_STRENGTHS = {
    "brightness": "[0, 0.5]",
    "contrast": "[0, 0.5]",
    "uneven_light": "[0, 0.2]",
    "defocus_px": "[0, 10]",
    "noise": "[0, 0.2]",
    "shift": "[0, 0.2]",
}


@dataclass
class AugmentationConfig:
    """How training images may be changed; 0 turns a change off."""

    name: str = "???"
    """Name of the option, as shown in reports."""
    symmetry: str = "none"
    """`none`; `mirror`: left and right; `flip`: also up and down; `turn`: also right angles."""
    brightness: float = 0.0
    """Largest change of every pixel, as a share of full scale, in [0, 0.5]."""
    contrast: float = 0.0
    """Largest relative change of contrast, in [0, 0.5]."""
    uneven_light: float = 0.0
    """Largest relative change of brightness of one side or spot, in [0, 0.2]."""
    defocus_px: float = 0.0
    """Largest standard deviation of defocus blur, in pixels, in [0, 10]."""
    motion_px: int = 0
    """Longest motion blur, in pixels: 0, or an odd number in [3, 31]."""
    noise: float = 0.0
    """Largest standard deviation of sensor noise, as a share of full scale, in [0, 0.2]."""
    shift: float = 0.0
    """Largest share by which each side is extended by mirroring before the image is scaled back,
    in [0, 0.2]: moves and shrinks the part, and never crops."""
    probability: float = 0.3
    """Probability of each change except symmetry, in [0, 1]."""

    def __post_init__(self) -> None:
        symmetries = ("none", "mirror", "flip", "turn")
        check_settings("augmentation.", self, symmetry=symmetries, **_STRENGTHS)
        check_settings("augmentation.", self, probability="[0, 1]")
        if self.motion_px and not (3 <= self.motion_px <= 31 and self.motion_px % 2):
            raise ConfigError(
                "augmentation.motion_px must be 0 or an odd number in [3, 31], "
                f"got {self.motion_px}"
            )

    @property
    def changes_something(self) -> bool:
        """Whether any change is on."""
        strengths = (*_STRENGTHS, "motion_px")
        return self.symmetry != "none" or any(getattr(self, name) for name in strengths)
