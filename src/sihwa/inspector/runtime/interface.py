"""The interface that every runtime fulfils.

Axes: N images, H and W picture size, K classes, h and w evidence-map size, D embedding width.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Outputs", "Runtime", "RuntimeChoice"]


class Outputs(NamedTuple):
    """What the graph says of N pictures, float32."""

    probability: NDArray[np.float32]
    """Calibrated class probabilities, (N, K)."""
    evidence: NDArray[np.float32]
    """Share of each place in each class's logit, (N, K, h, w)."""
    embedding: NDArray[np.float32]
    """Average of the feature map, (N, D)."""
    unknown: NDArray[np.float32]
    """How unlike the training pictures it is, (N,); about 1 is ordinary."""


@dataclass(frozen=True)
class RuntimeChoice:
    """One way to run a graph: which library, where, how precisely."""

    runtime: str
    device: str
    precision: str

    def __str__(self) -> str:
        return f"{self.runtime} on {self.device} in {self.precision}"


class Runtime(Protocol):
    """A loaded graph. `run` may be called from several threads at once."""

    choice: RuntimeChoice
    version: str

    def run(self, image: NDArray[np.uint8]) -> Outputs:
        """Run pictures of one size, (N, H, W, 3), uint8 RGB, C-contiguous."""
        ...
