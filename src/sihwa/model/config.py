"""Settings of the network."""

from dataclasses import dataclass, field, replace
from math import ceil, prod
from typing import Any

from sihwa.errors import ConfigError, check_settings
from sihwa.model.framing import WHOLE, Framing, Shares

_MOST_TILES = 256


@dataclass
class ModelConfig:
    """A convolutional network and where its weights come from."""

    name: str = "???"
    """Name of the option, as shown in reports."""
    architecture: str = "???"
    """Any convolutional network: of timm by its name, of torchvision as `torchvision/NAME`."""
    weights: str = "package"
    """`package` (from a pip package, offline), `hub` (from the internet), `none` (random), or a
    file (.safetensors, or a PyTorch state dict)."""
    input_size: Any = 224
    """Side of the network's square input in pixels, or its height and width, [H, W]; multiples of
    32 in [32, 1024]."""
    fit: str = "stretch"
    """How an image fits the input: `stretch` scales height and width separately, `letterbox` scales
    both alike and pads."""
    tiles: list[int] = field(default_factory=lambda: [1, 1])
    """Rows and columns of tiles that an image is cut into, for defects that are small in it; each
    is resized to the input by itself, and the worst decides. At most 256 in all."""
    tile_size: int = 0
    """Side of a tile in pixels of the image, instead of `tiles`: the largest image of the data set
    says how many that makes, and every image is cut into as many. 0: as `tiles` says."""
    tile_overlap: float = 0.1
    """Share of a tile that the next one repeats, in [0, 0.5]."""
    stages: int = 2
    """How many of the network's last resolutions the embedding averages besides its final map;
    0 for that map alone. Earlier stages keep textures that deep layers discard."""

    def __post_init__(self) -> None:
        sides = self._sides()
        if len(sides) != 2 or not all(
            type(side) is int and 32 <= side <= 1024 and side % 32 == 0 for side in sides
        ):
            raise ConfigError(
                "model.input_size must be a multiple of 32 in [32, 1024], or two of them, [H, W]; "
                f"got {self.input_size}"
            )
        if len(self.tiles) != 2 or min(self.tiles) < 1 or prod(self.tiles) > _MOST_TILES:
            raise ConfigError(
                "model.tiles must be rows and columns, such as [3, 4], at most 256 tiles in all; "
                f"got {self.tiles}"
            )
        check_settings(
            "model.",
            self,
            stages="[0, 4]",
            fit=("stretch", "letterbox"),
            tile_overlap="[0, 0.5]",
            tile_size="[0, 65535]",
        )
        if self.tile_size and self.tiles != [1, 1]:
            raise ConfigError(
                f"model.tile_size={self.tile_size} and model.tiles={self.tiles} say the same; "
                "leave one of them out"
            )

    def for_images(self, height: int, width: int) -> "ModelConfig":
        """Return these settings with `tile_size` turned into rows and columns of tiles.

        Args:
            height: Of what is looked at in the largest image, in pixels.
            width: Likewise.

        Raises:
            ConfigError: That makes more than 256 tiles.

        >>> ModelConfig(tile_size=1000, tile_overlap=0.1).for_images(3000, 4000).tiles
        [4, 5]
        """
        if not self.tile_size:
            return self
        step = self.tile_size * (1 - self.tile_overlap)
        first = self.tile_size - step
        down, across = (max(1, ceil((side - first) / step - 1e-9)) for side in (height, width))
        if down * across > _MOST_TILES:
            raise ConfigError(
                f"model.tile_size={self.tile_size}: images of {width} × {height} pixels make "
                f"{down} × {across} tiles, more than {_MOST_TILES}; choose larger tiles"
            )
        return replace(self, tiles=[down, across], tile_size=0)

    def framing(self, region: Shares = WHOLE, mask: tuple[int, int] | None = None) -> Framing:
        """Return what of an image the network sees, if this part of it is looked at."""
        height, width = self._sides()
        down, across = self.tiles
        overlap = self.tile_overlap if down * across > 1 else 0.0
        return Framing((height, width), self.fit, (down, across), overlap, region, mask)

    def _sides(self) -> list[Any]:
        """Return height and width of the input, as they were given."""
        size = self.input_size
        return list(size) if isinstance(size, (list, tuple)) else [size, size]
