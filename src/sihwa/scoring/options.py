"""How a run scores."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from sihwa.errors import ConfigError, check_settings
from sihwa.images import MAX_PIXELS, Decoding
from sihwa.scoring.overlays import CHOICES

BATCH_SIZE = 32
_BATCHES_PER_BLOCK = 2
"""With images of several sizes, a larger block fills more batches."""


@dataclass(frozen=True)
class ReadOptions:
    """What decides how files become images; two tables of different options do not mix.

    Attributes:
        max_pixels: Largest allowed H × W.
        pages: Whether each page of a TIFF gets a row, or a TIFF of several pages an error.
    """

    max_pixels: int = MAX_PIXELS
    pages: Literal["rows", "error"] = "rows"

    def __post_init__(self) -> None:
        check_settings("--", self, max_pixels="[1, inf)", pages=("rows", "error"))

    def decoding(self, of_inspector: Decoding) -> Decoding:
        """Return how images are decoded for an inspector."""
        return replace(of_inspector, max_pixels=self.max_pixels, setting="--max-pixels")


@dataclass(frozen=True)
class ScoreOptions:
    """How a run scores; see `sihwa score --help`.

    Attributes:
        read: How files become images.
        workers: Threads that read, decode and inspect, at most 1024; 0 is one more than cores. On
            Ray, the threads of each worker.
        batch_size: Most images in one inference, 1 to 4096.
        resume: Continue a table that exists.
        watch: Then score files as they arrive in the folders, until stopped.
        evidence: Decisions whose images get an overlay: `accept`, `reject`, `review`, `all`.
        runtime: As in `load_inspector`, like `precision`. These and `device` are read where the
            inspector is loaded by the engine: by the command, and by Ray.
        device: `auto` is `cpu`; on Ray, `cuda` if the cluster has GPUs.
        engine: `local` is this process, `ray` a cluster.
        part: What names the part of an image, a regular expression on its path or `column:NAME`;
            then the parts are decided, too. None for no parts.
        views: Views that each part must have; None asks for no number.
        address: HOST:PORT of the Ray cluster; None finds the one that runs here, or starts one.
    """

    read: ReadOptions = field(default_factory=ReadOptions)
    workers: int = 0
    batch_size: int = BATCH_SIZE
    resume: bool = False
    watch: bool = False
    evidence: Sequence[str] = ()
    runtime: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    engine: Literal["local", "ray"] = "local"
    address: str | None = None
    part: str | None = None
    views: int | None = None

    def __post_init__(self) -> None:
        # higher values gain no speed and cost memory
        check_settings("--", self, workers="[0, 1024]", batch_size="[1, 4096]")
        unknown = [name for name in self.evidence if name not in CHOICES]
        if unknown:
            raise ConfigError(f"--evidence must be {', '.join(CHOICES)}; got {unknown[0]}")
        if self.address and self.engine != "ray":
            raise ConfigError(f"--address {self.address} names a Ray cluster; add --engine ray")
        if self.views is not None and self.part is None:
            raise ConfigError(f"--views {self.views} counts the images of a part; add --part REGEX")
        if self.watch and self.engine == "ray":
            raise ConfigError("--watch scores in one process; leave out --watch or --engine ray")

    @property
    def block_size(self) -> int:
        """Files that a worker takes at once."""
        return _BATCHES_PER_BLOCK * self.batch_size
