import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sihwa.augmentation import CORRUPTIONS, STRENGTHS, corrupt, corruption_sheet

GREY = np.full((90, 120, 3), 128, np.uint8)


def dot() -> NDArray[np.uint8]:
    """One white pixel in the middle of a black image of 201 × 201."""
    image = np.zeros((201, 201, 3), np.uint8)
    image[100, 100] = 255
    return image


def texture() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(60, 196, (200, 200, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_corrupt_grows_with_its_strength_and_repeats(kind: str) -> None:
    assert corrupt(np.full((1, 1, 3), 9, np.uint8), kind, 5, 0).shape == (1, 1, 3)
    image = texture()
    before = image.copy()
    copies = [corrupt(image, kind, strength, key=5) for strength in STRENGTHS]
    far = [np.abs(copy.astype(float) - image).mean() for copy in copies]
    assert far == sorted(far)
    assert far[0] > 0.3
    assert all(copy.shape == image.shape and copy.dtype == np.uint8 for copy in copies)
    np.testing.assert_array_equal(copies[2], corrupt(image, kind, 3, key=5))
    np.testing.assert_array_equal(image, before)
    if kind != "jpeg":
        assert not np.array_equal(copies[2], corrupt(image, kind, 3, key=6))


def test_corrupt_noise_has_the_stated_deviation_in_all_channels_alike() -> None:
    noisy = corrupt(GREY, "noise", 3, key=0).astype(float)
    np.testing.assert_array_equal(noisy[..., 0], noisy[..., 2])
    assert noisy[..., 0].std() == pytest.approx(0.06 * 255, rel=0.03)
    assert noisy.mean() == pytest.approx(128, abs=0.5)


@pytest.mark.parametrize("key", range(5))
def test_corrupt_uneven_light_reaches_its_share_in_two_opposite_corners(key: int) -> None:
    lit = corrupt(GREY, "uneven_light", 3, key)[..., 0].astype(float)
    corners = [lit[row, column] for row in (0, -1) for column in (0, -1)]
    assert max(corners) == lit.max() == pytest.approx(128 * 1.3, abs=1)
    assert min(corners) == lit.min() == pytest.approx(128 * 0.7, abs=1)
    assert lit.mean() == pytest.approx(128, abs=0.5)


@pytest.mark.parametrize("key", range(5))
def test_corrupt_motion_spreads_a_dot_over_a_line_of_the_stated_length(key: int) -> None:
    smeared = corrupt(dot(), "motion", 5, key)[..., 0].astype(float)
    rows, columns = np.nonzero(smeared)
    length = np.hypot(np.ptp(rows), np.ptp(columns))
    assert length == pytest.approx(0.075 * 201, abs=2)
    assert smeared.sum() == pytest.approx(255, rel=0.06)  # light is moved, not made
    assert rows.mean() == pytest.approx(100, abs=0.5)
    assert columns.mean() == pytest.approx(100, abs=0.5)


def test_corrupt_jpeg_is_pillows_at_the_stated_quality() -> None:
    file = io.BytesIO()
    Image.fromarray(texture()).save(file, format="JPEG", quality=25)
    np.testing.assert_array_equal(corrupt(texture(), "jpeg", 3, 0), np.array(Image.open(file)))


def test_corruption_sheet_shows_the_original_and_every_strength() -> None:
    sheet = corruption_sheet(GREY, ["noise", "jpeg"], key=0)
    assert sheet.shape == (2 * 164 + 4, 6 * 164 + 4, 3)
    assert (sheet[10:90, 10:100] == 128).all()
    assert sheet[10:90, 180:260].std() > 1
