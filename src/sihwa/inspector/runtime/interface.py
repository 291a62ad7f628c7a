"""The interface that every runtime fulfils.

Axes: N images, H and W image size, K classes, h and w evidence-map size, D embedding width.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sihwa.inspector.runtime_choice import RuntimeChoice

_PART = 4  # docs/decisions/0012-batches-of-four.md


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


def run_in_parts(run: Callable[[NDArray[np.uint8]], Outputs], image: NDArray[np.uint8]) -> Outputs:
    """Run images a few at a time, so that feature maps stay in the processor's cache.

    Args:
        run: Runs any number of images.
        image: (N, H, W, 3), any N.
    """
    if len(image) <= _PART:
        return run(image)
    parts = [run(image[begin : begin + _PART]) for begin in range(0, len(image), _PART)]
    return Outputs(*(np.concatenate(values) for values in zip(*parts, strict=True)))
