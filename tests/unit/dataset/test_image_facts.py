from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sihwa.dataset import ImageFacts, ImageFolderConfig, Manifest, measure_manifest, read_as_given
from sihwa.dataset.image_facts import measure_pixels
from sihwa.dataset.measured_image import MeasuredImage, measure_image
from sihwa.errors import UnreadableImage
from sihwa.images import Decoding
from tests.helpers import random_images, save_images

FORM = {"format": "PNG", "mode": "L", "camera": ""}


def measure(grey: np.ndarray) -> ImageFacts:
    return measure_pixels(np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2), FORM)


def facts_of(path: Path) -> ImageFacts:
    found = measure_image(str(path), Decoding())
    assert isinstance(found, MeasuredImage)
    return found.facts


def test_measure_pixels_noise_is_the_planted_one(rng: np.random.Generator) -> None:
    clean = np.add.outer(np.linspace(60, 180, 200), np.linspace(-20, 20, 150))  # a plane of light
    found = measure(np.rint(clean + rng.normal(0, 5, clean.shape)))
    assert found.noise == pytest.approx(5, rel=0.05)
    assert measure(np.rint(clean)).noise < 1


def test_measure_pixels_exposure_and_border() -> None:
    grey = np.full((100, 100), 100)
    grey[:, :10], grey[:, 90:] = 0, 255
    found = measure(grey)
    assert (found.dark, found.bright) == pytest.approx((0.1, 0.1))
    assert found.contrast == pytest.approx(grey.std())
    assert found.grey == pytest.approx(grey.mean())
    framed = np.full((100, 200), 40)
    framed[3:-3, 6:-6] = 200  # 3 % of height and width
    assert measure(framed).border == 40


def test_measure_pixels_blurred_image_is_less_sharp(rng: np.random.Generator) -> None:
    sharp = rng.integers(0, 256, (64, 64))
    blurred = (sharp + np.roll(sharp, 1, 0) + np.roll(sharp, 1, 1) + np.roll(sharp, 1, (0, 1))) / 4
    assert measure(blurred).sharpness < 0.5 * measure(sharp).sharpness


@pytest.mark.parametrize("size", [(1, 1), (2, 50), (3, 3)])
def test_measure_pixels_tiny_image_has_finite_facts(size: tuple[int, int]) -> None:
    found = measure(np.full(size, 7))
    assert (found.noise, found.sharpness, found.border) == (0, 0, 7)


def test_measure_image_tells_how_it_is_stored(tmp_path: Path) -> None:
    wide = Image.fromarray(np.full((8, 9), 300, np.uint16))
    wide.save(tmp_path / "wide.png")
    exif = Image.Exif()
    exif[271], exif[272] = "ACME", "Line 2"
    Image.new("RGB", (9, 8), (255, 0, 0)).save(tmp_path / "red.jpg", exif=exif)
    found = facts_of(tmp_path / "wide.png")
    assert (found.format, found.bits, found.width, found.height) == ("PNG", 16, 9, 8)
    red = facts_of(tmp_path / "red.jpg")
    assert (red.format, red.mode, red.bits, red.camera) == ("JPEG", "RGB", 8, "ACME Line 2")
    assert red.mean == pytest.approx((254, 0, 0), abs=1)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    for name, seed in (("good", 1), ("dent", 2)):
        save_images(tmp_path / "parts" / name, random_images(3, 20, 30, seed))
    return read_as_given(ImageFolderConfig(name="parts", root=str(tmp_path / "parts")))


def test_measure_manifest_just_read_reads_no_image_again(manifest: Manifest) -> None:
    for path in manifest.table["path"].to_pylist():
        Path(path).unlink()
    found = measure_manifest(manifest.take([4, 0]))
    assert [one.mean for one in found] != [found[0].mean] * 2
    with pytest.raises(UnreadableImage, match="No such file"):
        measure_manifest(replace(manifest, facts={}))


def test_measure_manifest_of_a_file_measures_again(manifest: Manifest) -> None:
    assert measure_manifest(replace(manifest, facts={})) == measure_manifest(manifest)


def test_measure_manifest_changed_image_is_refused(manifest: Manifest) -> None:
    paths = manifest.table["path"].to_pylist()
    Path(paths[0]).write_bytes(Path(paths[1]).read_bytes())
    with pytest.raises(UnreadableImage, match="changed since it was read"):
        measure_manifest(replace(manifest, facts={}))


def test_measure_image_takes_the_capture_time_from_exif(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[306] = "2026:01:02 09:09:09"
    image = Image.new("RGB", (8, 8))
    image.save(tmp_path / "changed.jpg", exif=exif)
    exif.get_ifd(0x8769)[36867] = "2026:01:02 03:04:05"
    image.save(tmp_path / "camera.jpg", exif=exif)
    exif.get_ifd(0x8769)[36867] = "0000:00:00 00:00:00"
    image.save(tmp_path / "unset.jpg", exif=exif)
    image.save(tmp_path / "plain.png")
    found = {path.stem: facts_of(path).exif_time for path in tmp_path.iterdir()}
    assert found == {
        "changed": "2026-01-02T09:09:09",
        "camera": "2026-01-02T03:04:05",
        "unset": "",
        "plain": "",
    }
