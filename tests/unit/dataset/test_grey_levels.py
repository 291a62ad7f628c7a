"""16-bit images, float maps and images of one colour, from folder to manifest."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import DTypeLike
from PIL import Image

from sihwa.dataset import ImageFolderConfig, Manifest, read_as_given, read_dataset, read_manifest
from sihwa.errors import ConfigError, DatasetError
from sihwa.images import Decoding


def save_parts(root: Path, greatest: float, dtype: DTypeLike, suffix: str = ".png") -> None:
    """Save six images per class with values from 0 to `greatest`."""
    for kind in ("good", "ng"):
        (root / kind).mkdir(parents=True)
        for number in range(6):
            rng = np.random.default_rng(number + 10 * (kind == "ng"))
            values = rng.random((12, 10)) * greatest
            values[0, 0] = greatest
            Image.fromarray(values.astype(dtype)).save(root / kind / f"{number}{suffix}")


def read(root: Path, **settings: object) -> Manifest:
    return read_dataset(ImageFolderConfig(name="parts", root=str(root), **settings), 0)  # type: ignore[arg-type]


def notes_of(manifest: Manifest, word: str) -> list[str]:
    return [note for note in manifest.notes if word in note]


def test_read_dataset_dark_16_bit_images_are_told_with_the_setting(tmp_path: Path) -> None:
    save_parts(tmp_path, 1003, np.uint16)
    [note] = notes_of(read(tmp_path), "nearly black")
    assert note.startswith("12 images")
    assert "1,003 of 65,535" in note
    assert "dataset.white=1023" in note


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_read_dataset_bright_images_need_no_note(tmp_path: Path, dtype: DTypeLike) -> None:
    save_parts(tmp_path, np.iinfo(dtype).max, dtype)
    assert not notes_of(read(tmp_path), "black")


def test_read_dataset_white_scales_and_is_kept_by_the_file(tmp_path: Path) -> None:
    save_parts(tmp_path / "parts", 1023, np.uint16)
    manifest = read(tmp_path / "parts", white=1023, max_pixels=500)
    assert manifest.read_image(0).max() == 255
    assert not notes_of(manifest, "white")
    manifest.write(tmp_path / "manifest.parquet")
    again = read_manifest(tmp_path / "manifest.parquet")
    assert again.decoding == manifest.decoding
    np.testing.assert_array_equal(again.read_image(3), manifest.read_image(3))


@pytest.mark.parametrize(("greatest", "white"), [(1003, 1023), (1024, 2047), (90, 255)])
def test_read_dataset_auto_white_is_the_next_number_of_bits(
    tmp_path: Path, greatest: int, white: int
) -> None:
    save_parts(tmp_path, greatest, np.uint16)
    manifest = read(tmp_path, white="auto")
    assert manifest.decoding == Decoding(white=(0.0, white))
    assert notes_of(manifest, f"{white:,} is white")


def test_read_dataset_auto_white_of_8_bit_images_changes_nothing(tmp_path: Path) -> None:
    save_parts(tmp_path, 200, np.uint8)
    manifest = read(tmp_path, white="auto")
    assert manifest.decoding == Decoding()
    assert notes_of(manifest, "changes nothing")


def test_read_dataset_float_maps_need_a_range(tmp_path: Path) -> None:
    save_parts(tmp_path, 2.5, np.float32, ".tif")
    with pytest.raises(DatasetError, match=r"from .* to 2\.5, .*dataset\.white=\[LOW,HIGH\]"):
        read(tmp_path)
    with pytest.raises(ConfigError, match=r"dataset\.white=auto .*floating-point"):
        read(tmp_path, white="auto")
    assert read(tmp_path, white=[0, 2.5]).read_image(0).max() == 255
    assert notes_of(read(tmp_path, white=[0, 2]), "2.5 are clipped to 0 and 2")


def test_read_as_given_uses_the_same_white(tmp_path: Path) -> None:
    save_parts(tmp_path, 1023, np.uint16)
    config = ImageFolderConfig(name="parts", root=str(tmp_path), white="auto")
    assert read_as_given(config).decoding == read(tmp_path, white="auto").decoding


def test_read_dataset_images_of_one_colour_are_counted(tmp_path: Path) -> None:
    save_parts(tmp_path, 200, np.uint8)
    for number in range(2):
        Image.new("RGB", (9, 9), (7, number, 9)).save(tmp_path / "good" / f"flat{number}.png")
    [note] = notes_of(read(tmp_path), "one colour")
    assert note.startswith("2 of 14 images")


def test_read_dataset_refusal_of_a_large_image_names_the_setting(tmp_path: Path) -> None:
    save_parts(tmp_path, 200, np.uint8)
    with pytest.raises(DatasetError, match=r"more than the 100 allowed; raise dataset\.max_pixels"):
        read(tmp_path, max_pixels=100)
    assert read(tmp_path, max_pixels=120).table.num_rows == 12
