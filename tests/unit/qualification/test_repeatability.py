from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sihwa.errors import DatasetError
from sihwa.evaluation import clopper_pearson
from sihwa.qualification.image_changes import CHANGES, ROTATION, SHIFT, change_image
from sihwa.qualification.repeatability import RepeatabilityOptions, measure_repeatability
from sihwa.scoring.path_pattern import PathPattern
from tests.helpers import random_images, save_images
from tests.score_helpers import stub_inspector


@pytest.mark.parametrize("name", CHANGES)
def test_change_image_is_small_and_keeps_the_shape(name: str) -> None:
    (image,) = random_images(1, 120, 200)
    image[::8] -= image[::8] // 8  # edges, which a blur changes
    changed = [change_image(image, name, np.random.default_rng(seed)) for seed in range(20)]
    assert all(one.shape == image.shape and one.dtype == np.uint8 for one in changed)
    difference = [np.abs(one.astype(int) - image).mean() for one in changed]
    assert 0.1 < max(difference) < 15
    again = change_image(image, name, np.random.default_rng(3))
    np.testing.assert_array_equal(again, changed[3])


def centre_of(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    light = image[..., 0].astype(float)
    rows, columns = np.indices(light.shape)
    centre = np.array([(light * rows).sum(), (light * columns).sum()])
    return np.asarray(centre / light.sum(), np.float64)


def test_change_image_shift_moves_a_spot_by_at_most_the_limit() -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    image[48:52, 98:102] = 200
    moves = np.array(
        [
            centre_of(change_image(image, "shift", np.random.default_rng(seed))) - centre_of(image)
            for seed in range(60)
        ]
    )
    limit = np.array([100, 200]) * SHIFT
    assert (np.abs(moves) <= limit + 0.05).all()
    assert (moves.max(0) > 0.7 * limit).all()
    assert (moves.min(0) < -0.7 * limit).all()


def test_change_image_rotation_turns_about_the_centre() -> None:
    image = np.zeros((201, 201, 3), np.uint8)
    image[99:102, 99:102] = 200
    far = np.zeros_like(image)
    far[99:102, 189:192] = 200
    down = []
    for seed in range(40):
        turned = change_image(image, "rotation", np.random.default_rng(seed))
        assert centre_of(turned) == pytest.approx(centre_of(image), abs=0.05)
        moved = centre_of(change_image(far, "rotation", np.random.default_rng(seed)))
        down.append(moved[0] - centre_of(far)[0])
    reach = 90 * np.radians(ROTATION)
    assert 0.7 * reach < max(map(abs, down)) <= reach + 0.05
    assert min(down) < 0 < max(down)


def test_change_image_edge_is_repeated_not_black() -> None:
    image = np.full((60, 60, 3), 200, np.uint8)
    for name in ("shift", "rotation", "focus"):
        changed = change_image(image, name, np.random.default_rng(1))
        np.testing.assert_array_equal(changed, image)


def balanced(folder: Path) -> list[str]:
    """Save 3 images far from a border, and one whose green and blue differ by one level."""
    clear = np.zeros((3, 40, 40, 3), np.uint8)
    clear[..., 0] = 200
    close = np.zeros((1, 40, 40, 3), np.uint8)
    # a spot at the edge leaves the image when it is shifted, and the top class changes
    close[0, :, :1, 0] = 255
    close[0, :, 20:, 1] = 12
    return [str(path) for path in save_images(folder, np.concatenate([clear, close]))]


def test_measure_repeatability_finds_the_close_call(tmp_path: Path) -> None:
    paths = balanced(tmp_path)
    found = measure_repeatability(stub_inspector(), paths, RepeatabilityOptions(trials=20, seed=1))
    by_name = {one.name: one for one in found.changes}
    assert list(by_name) == list(CHANGES)
    assert by_name["shift"].stays.occurrences == 3
    assert (by_name["shift"].stays.low, by_name["shift"].stays.high) == clopper_pearson(3, 4)
    assert 0 < by_name["shift"].flips < by_name["shift"].trials == 80
    assert found.flipping[0].path == paths[3]
    assert found.flipping[0].flips["shift"] == by_name["shift"].flips
    assert len(found.flipping) == 1


def test_measure_repeatability_image_keeps_its_draws_among_others(tmp_path: Path) -> None:
    paths, options = balanced(tmp_path), RepeatabilityOptions(trials=7, seed=5)
    all_found = measure_repeatability(stub_inspector(), paths, options)
    alone = measure_repeatability(stub_inspector(), paths[3:], options)
    assert all_found.flipping == alone.flipping
    other = measure_repeatability(stub_inspector(), paths, RepeatabilityOptions(trials=7, seed=6))
    assert other.flipping != all_found.flipping


def test_measure_repeatability_images_have_draws_of_their_own(tmp_path: Path) -> None:
    close = np.asarray(Image.open(balanced(tmp_path / "a")[3]))
    many = np.repeat(close[None], 8, 0)
    many[:, 0, 10, 2] = range(8)  # tells them apart, and changes no decision
    paths = [str(path) for path in save_images(tmp_path / "b", many)]
    found = measure_repeatability(stub_inspector(), paths, RepeatabilityOptions(trials=20))
    assert len({one.flips["shift"] for one in found.flipping}) > 1


def test_measure_repeatability_parts_widen_the_interval(tmp_path: Path) -> None:
    paths = balanced(tmp_path)
    by_part = RepeatabilityOptions(trials=2, part=PathPattern("--part", "00"))
    low = [
        measure_repeatability(stub_inspector(), paths, one).changes[0].stays.low
        for one in (RepeatabilityOptions(trials=2), by_part)
    ]
    assert low[0] is not None
    assert low[1] is not None
    assert low[1] < low[0]


def test_measure_repeatability_unreadable_images_are_told(tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    Image.new("RGB", (20, 20), "red").save(tmp_path / "a.png")
    paths = [str(bad), str(tmp_path / "a.png")]
    found = measure_repeatability(stub_inspector(), paths, RepeatabilityOptions(trials=1))
    assert (found.images, found.unreadable_count) == (1, 1)
    assert "bad.png" in found.unreadable[0]
    with pytest.raises(DatasetError, match="cannot be read"):
        measure_repeatability(stub_inspector(), paths[:1], RepeatabilityOptions())
