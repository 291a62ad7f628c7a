"""Random changes of one image.

Axes: H and W image size in pixels.
"""

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sihwa.augmentation.config import AugmentationConfig


class Augmenter:
    """Changes images at random; the same key gives the same change.

    Not safe for threads: each needs its own instance.
    """

    def __init__(self, config: AugmentationConfig) -> None:
        self.config = config
        if self:
            # albumentations takes seconds to import
            from sihwa.augmentation.transforms import create_pipeline

            self._pipeline = create_pipeline(config)

    def __bool__(self) -> bool:
        return self.config.changes_something

    def __call__(self, image: NDArray[np.uint8], key: Sequence[int]) -> NDArray[np.uint8]:
        """Return a changed copy; turns by right angles swap H and W.

        Args:
            image: (H, W, 3), uint8 RGB.
            key: Seeds the change, such as (seed, epoch, row); each at least 0.

        >>> turn = Augmenter(AugmentationConfig(name="turn", symmetry="turn"))
        >>> image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
        >>> bool((turn(image, (0, 1)) == turn(image, (0, 1))).all())
        True
        """
        if not self:
            return image
        seed = np.random.SeedSequence(key)
        # one state for all: seeded one by one, all changes would draw the same numbers
        self._pipeline.set_random_state(
            np.random.default_rng(seed), random.Random(int(seed.generate_state(1, np.uint64)[0]))
        )
        changed: NDArray[np.uint8] = self._pipeline(image=image)["image"]
        return np.ascontiguousarray(changed)
