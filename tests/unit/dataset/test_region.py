from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from sihwa.dataset import Region, read_region
from sihwa.errors import ConfigError


class Sizes:
    """What is asked of a manifest: height and width of its images."""

    def __init__(self, *sizes: tuple[int, int]) -> None:
        height, width = zip(*sizes, strict=True)
        self.table = pa.table({"height": height, "width": width})


def region_of(given: object, *sizes: tuple[int, int]) -> Region:
    return read_region(given, Sizes(*(sizes or [(100, 200)] * 2)))  # type: ignore[arg-type]


def test_read_region_rectangle_in_shares_or_pixels_is_shares() -> None:
    assert region_of([0.5, 0, 1, 0.25]) == ((0.5, 0, 1, 0.25), None)
    assert region_of([100, 0, 200, 25]) == ((0.5, 0, 1, 0.25), None)


def test_read_region_polygon_is_a_mask_and_the_rectangle_around_it() -> None:
    region = region_of([[0.25, 0.5], [0.75, 0.5], [0.75, 1], [0.25, 1]])
    assert region.rectangle == pytest.approx((0.25, 0.5, 0.75, 1), abs=1 / 128)
    assert region.mask is not None
    assert region.mask.mean() == pytest.approx(0.25, abs=0.01)


def test_read_region_mask_file_is_seen_where_it_is_not_black(tmp_path: Path) -> None:
    pixels = np.zeros((600, 1024, 3), np.uint8)
    pixels[300:, :512, 1] = 9
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    region = region_of(str(tmp_path / "mask.png"))
    assert region.rectangle == pytest.approx((0, 0.5, 0.5, 1))
    assert region.mask is not None
    assert region.mask.shape == (150, 256)
    assert region.mask[75:, :128].all()
    assert region.mask.sum() == 75 * 128


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([0.1, 0.2, 0.3], "left, top, right, bottom"),
        ([0.5, 0, 0.5, 1], "left before right"),
        ([0, 0, 300, 50], r"outside the images of 200 × 100"),
        ([-1, 0, 1, 1], "left, top, right, bottom"),
        ([[0, 0], [1, "a"]], "left, top, right, bottom"),
        ("nowhere.png", "nowhere.png"),
        (7, "left, top, right, bottom"),
    ],
)
def test_read_region_anything_else_is_refused(given: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        region_of(given)


def test_read_region_pixels_of_images_of_two_sizes_are_refused() -> None:
    with pytest.raises(ConfigError, match="2 sizes; give shares"):
        region_of([0, 0, 50, 50], (100, 200), (200, 100))


def test_read_region_black_mask_is_refused(tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "mask.png")
    with pytest.raises(ConfigError, match="nothing to look at"):
        region_of(str(tmp_path / "mask.png"))
