import numpy as np

from sihwa.images import shrink


def test_shrink_pixels_are_area_means() -> None:
    image = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
    expected = image.reshape(4, 3, 5, 4, 3).mean((1, 3))
    assert abs(shrink(image, (4, 5)) - expected).max() <= 1


def test_shrink_image_of_that_size_is_the_same() -> None:
    image = np.zeros((12, 20, 3), np.uint8)
    assert shrink(image, (12, 20)) is image
