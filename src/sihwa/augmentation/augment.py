"""Random changes of one image.

Axes: H and W image size in pixels.
"""

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sihwa.augmentation.config import AugmentationConfig


class Augmenter:
    """Changes images at random; one key always gives the same change.

    An instance keeps its random state while it works, so each thread needs one of its own.

    Args:
        config: What may happen.
    """

    def __init__(self, config: AugmentationConfig) -> None:
        self.config = config
        if self:
            # the library takes seconds to import, which a training without changes should not wait
            from sihwa.augmentation.transforms import create_pipeline

            self._pipeline = create_pipeline(config)

    def __bool__(self) -> bool:
        """Whether anything can happen at all."""
        return self.config.changes_something

    def __call__(self, image: NDArray[np.uint8], key: Sequence[int]) -> NDArray[np.uint8]:
        """Return a changed copy; right-angle turns swap H and W.

        Args:
            image: (H, W, 3), uint8 RGB.
            key: What the change is drawn from, such as seed, epoch and row; each at least 0.

        >>> turn = Augmenter(AugmentationConfig(name="turn", symmetry="turn"))
        >>> image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
        >>> bool((turn(image, (0, 1)) == turn(image, (0, 1))).all())
        True
        """
        if not self:
            return image
        seed = np.random.SeedSequence(key)
        # one state for all: given a seed, each change would draw the very same numbers
        self._pipeline.set_random_state(
            np.random.default_rng(seed), random.Random(int(seed.generate_state(1, np.uint64)[0]))
        )
        changed: NDArray[np.uint8] = self._pipeline(image=image)["image"]
        return np.ascontiguousarray(changed)
