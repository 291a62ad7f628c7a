"""How a run scores, whatever does the work."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sihwa.errors import ConfigError
from sihwa.scoring.block import BATCH_SIZE, ReadOptions
from sihwa.scoring.overlays import CHOICES, OverlayWriter

_BATCHES_PER_BLOCK = 2
"""Images of mixed sizes fill larger batches when a worker sees more of them at once."""
_MOST_WORKERS = 1024
_MOST_IMAGES = 4096
"""Beyond these nothing becomes faster, and memory grows with both."""


@dataclass(frozen=True)
class ScoreOptions:
    """How a run scores; see `sihwa score --help`.

    Attributes:
        read: How files become images.
        workers: Threads that read, decode and inspect; 0 is one more than cores; at most 1024. On
            other machines, those of each worker process.
        batch_size: Most images in one inference, 1 to 4096.
        resume: Go on with a table that is there.
        watch: Go on with files as they arrive in the folders, until stopped.
        evidence: Folder for overlays, if any.
        evidence_of: Decisions that get one.
    """

    read: ReadOptions = field(default_factory=ReadOptions)
    workers: int = 0
    batch_size: int = BATCH_SIZE
    resume: bool = False
    watch: bool = False
    evidence: Path | None = None
    evidence_of: Sequence[str] = ("all",)

    def __post_init__(self) -> None:
        """Reject what is out of range."""
        for name, value, least, most in (
            ("--workers", self.workers, 0, _MOST_WORKERS),
            ("--batch-size", self.batch_size, 1, _MOST_IMAGES),
        ):
            if not least <= value <= most:
                raise ConfigError(f"{name} must be {least} to {most}, got {value}")
        unknown = [name for name in self.evidence_of if name not in CHOICES]
        if unknown:
            raise ConfigError(f"--evidence-of must be {', '.join(CHOICES)}; got {unknown[0]}")

    @property
    def block_size(self) -> int:
        """Files that a thread takes at once."""
        return _BATCHES_PER_BLOCK * self.batch_size

    def overlay_writer(self) -> OverlayWriter | None:
        """Return what draws the evidence, if it was asked for."""
        return OverlayWriter(self.evidence, self.evidence_of) if self.evidence else None
