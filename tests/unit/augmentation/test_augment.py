import numpy as np
import pytest

from sihwa.augmentation import AugmentationConfig, Augmenter, contact_sheet
from sihwa.errors import ConfigError
from tests.helpers import random_images

EVERYTHING = {
    "symmetry": "turn", "brightness": 0.2, "contrast": 0.2, "uneven_light": 0.2,
    "defocus_px": 1.5, "motion_px": 7, "noise": 0.05, "shift": 0.1, "probability": 1.0,
}  # fmt: skip


def config(**changes: object) -> AugmentationConfig:
    return AugmentationConfig(**{"name": "test", **changes})  # type: ignore[arg-type]


def test_augmenter_none_returns_the_image_and_is_false() -> None:
    image = random_images(1, 40, 50)[0]
    nothing = Augmenter(config())
    assert not nothing
    assert nothing(image, (0,)) is image


def test_augmenter_same_key_same_copy_whatever_came_before() -> None:
    image = random_images(1, 40, 50)[0]
    image.flags.writeable = False
    first, second = Augmenter(config(**EVERYTHING)), Augmenter(config(**EVERYTHING))
    for key in range(5):
        second(image, (9, key))
    np.testing.assert_array_equal(first(image, (1, 2, 3)), second(image, (1, 2, 3)))
    assert not np.array_equal(first(image, (1, 2, 3)), first(image, (1, 3, 3)))


@pytest.mark.parametrize("name", [name for name in EVERYTHING if name != "probability"])
def test_augmenter_each_change_alone_changes_something(name: str) -> None:
    image = random_images(1, 40, 50)[0]
    change = Augmenter(config(**{name: EVERYTHING[name], "probability": 1.0}))
    assert any(not np.array_equal(change(image, (0, key)), image) for key in range(8))


@pytest.mark.parametrize(
    ("symmetry", "count"), [("mirror", 2), ("flip", 4), ("turn", 8)], ids=lambda value: str(value)
)
def test_augmenter_symmetries_give_every_position_and_no_other(symmetry: str, count: int) -> None:
    image = random_images(1, 40, 40)[0]
    change = Augmenter(config(symmetry=symmetry))
    found = {change(image, (0, key)).tobytes() for key in range(200)}
    turned = [np.rot90(image, times) for times in range(4)]
    possible = {one.tobytes() for one in [*turned, *(np.fliplr(one) for one in turned)]}
    assert len(found) == count
    assert found <= possible


def test_augmenter_shift_never_cuts_off_a_defect_at_the_edge() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    image[:, :6] = 255  # a bright stripe along the left edge
    change = Augmenter(config(shift=0.2, probability=1.0))
    for key in range(50):
        shifted = change(image, (0, key))
        assert shifted.shape == image.shape
        # the whole height and at least 6 / 1.4 of the width are still there
        assert (shifted[:, :, 0] > 127).sum(1).min() >= 4


def test_augmenter_changes_fall_independently_of_each_other() -> None:
    # with one seed per change, all of them would draw the same numbers and come together
    image = np.full((20, 20, 3), 100, np.uint8)
    change = Augmenter(config(brightness=0.3, noise=0.1, probability=0.5))
    results = [change(image, (0, key)) for key in range(400)]
    noisy = np.array([one.std() > 0 for one in results])
    lit = np.array([abs(float(np.median(one)) - 100) > 12 for one in results])
    assert abs(np.corrcoef(noisy, lit)[0, 1]) < 0.2
    assert 0.3 < noisy.mean() < 0.7


def test_contact_sheet_shows_originals_and_copies() -> None:
    sheet = contact_sheet(
        list(random_images(3, 40, 50)), Augmenter(config(symmetry="turn")), columns=4
    )
    assert sheet.shape == (3 * 164 + 4, 5 * 164 + 4, 3)
    assert sheet.dtype == np.uint8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"symmetry": "spin"}, "symmetry must be one of none, mirror, flip, turn; got 'spin'"),
        ({"brightness": 0.6}, r"brightness must be in \[0, 0.5\], got 0.6"),
        ({"noise": -0.1}, r"noise must be in \[0, 0.2\], got -0.1"),
        ({"probability": 1.5}, r"probability must be in \[0, 1\]"),
        ({"motion_px": 4}, r"motion_px must be 0 or an odd number in \[3, 31\], got 4"),
    ],
)
def test_augmentation_config_out_of_range_is_refused(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        config(**changes)
