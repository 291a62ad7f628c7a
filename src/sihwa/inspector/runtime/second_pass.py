"""The second pass: close calls of the INT8 model are re-run in float32.

Axes: N images, H and W image size.
"""

import numpy as np
from numpy.typing import NDArray

from sihwa.decision import Margin, Policy
from sihwa.inspector.runtime.interface import Outputs, Runtime


class SecondPass:
    """Two runtimes as one: the fast one runs every image, the exact one re-runs close calls.

    The fast one is trusted beyond the margin from every border of the policy. See
    docs/decisions/0013-second-pass.md.
    """

    def __init__(self, quick: Runtime, exact: Runtime, policy: Policy, margin: Margin) -> None:
        self.choice = quick.choice
        self._quick, self._exact = quick, exact
        self._policy, self._margin = policy, margin

    def run(self, image: NDArray[np.uint8]) -> Outputs:
        """Run images of one size, (N, H, W, 3), uint8 RGB, C-contiguous."""
        outputs = self._quick.run(image)
        close = self._policy.is_close(outputs.probability, outputs.unknown, self._margin)
        if not close.any():
            return outputs
        better = self._exact.run(image[close])
        return Outputs(*(_replaced(*pair, close) for pair in zip(outputs, better, strict=True)))


def _replaced(
    values: NDArray[np.float32], better: NDArray[np.float32], where: NDArray[np.bool_]
) -> NDArray[np.float32]:
    if values.shape[1:] != better.shape[1:]:  # numpy would broadcast
        raise ValueError(
            f"the INT8 model gives {values.shape[1:]} where the graph gives {better.shape[1:]}"
        )
    replaced = values.copy()
    replaced[where] = better
    return replaced
