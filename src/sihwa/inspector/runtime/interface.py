"""The interface of every runtime, and the choice of one.

Axes: N images, H and W image size, K classes, h and w evidence-map size, D embedding width.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

PRECISIONS = ("fp32", "bf16", "fp16", "int8")
_FEW = 4  # docs/decisions/0012-batches-of-four.md
_LONGEST = 300
"""Characters shown of a library's message."""


@dataclass(frozen=True)
class RuntimeChoice:
    """One way to run an inspector: which library, where, how precisely.

    In every precision, preprocessing and everything after the feature map stay in float32: they
    cost little and decide much. See docs/decisions/0005-what-stays-in-float32.md.
    """

    runtime: str
    device: str
    precision: str

    def __str__(self) -> str:
        return f"{self.runtime} on {self.device} in {self.precision}"

    @property
    def kind(self) -> str:
        """The kind of device: `cpu` or `cuda`."""
        return self.device.partition(":")[0]

    @property
    def device_index(self) -> int:
        """Which of several devices of its kind, from 0."""
        return int(self.device.partition(":")[2] or 0)


class Outputs(NamedTuple):
    """Outputs of the graph for N images, float32."""

    probability: NDArray[np.float32]
    """Calibrated class probabilities, (N, K)."""
    evidence: NDArray[np.float32]
    """Contribution of each place to each class's logit, (N, K, h, w)."""
    embedding: NDArray[np.float32]
    """Average of the feature map, (N, D)."""
    unknown: NDArray[np.float32]
    """Distance to the training images, (N,); about 1 is ordinary."""


class Runtime(Protocol):
    """A loaded graph. `run` may be called from several threads at once."""

    choice: RuntimeChoice

    def run(self, image: NDArray[np.uint8]) -> Outputs:
        """Run images of one size, (N, H, W, 3), uint8 RGB, C-contiguous."""
        ...


def run_in_small_batches(
    run: Callable[[NDArray[np.uint8]], Outputs], image: NDArray[np.uint8], tiles: tuple[int, int]
) -> Outputs:
    """Run images (N, H, W, 3) a few at a time: their feature maps stay in the processor's cache.

    An image in many tiles, given as rows and columns, goes alone.
    """
    few = max(1, _FEW // prod(tiles))
    if len(image) <= few:
        return run(image)
    batches = [run(image[begin : begin + few]) for begin in range(0, len(image), few)]
    return Outputs(*(np.concatenate(values) for values in zip(*batches, strict=True)))


def one_line(error: Exception) -> str:
    """Return a library's message as one printable line: it may quote names from the graph."""
    flat = " ".join(str(error).split())
    if len(flat) > _LONGEST:  # the reason comes last
        flat = "… " + flat[-_LONGEST:].partition(" ")[2]
    return "".join(letter if letter.isprintable() else "?" for letter in flat)
