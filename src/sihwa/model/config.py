"""Settings of the network."""

from dataclasses import dataclass

from sihwa.errors import ConfigError, check_settings


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
    input_size: int = 224
    """Side of the network's square input, in pixels; a multiple of 32 in [32, 1024]."""
    stages: int = 2
    """How many of the network's last resolutions the embedding averages besides its final map;
    0 for that map alone. Earlier stages keep textures that deep layers discard."""

    def __post_init__(self) -> None:
        if not 32 <= self.input_size <= 1024 or self.input_size % 32:
            raise ConfigError(
                f"model.input_size must be a multiple of 32 in [32, 1024], got {self.input_size}"
            )
        check_settings("model.", self, stages="[0, 4]")
