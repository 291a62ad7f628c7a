import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sihwa.dataset import ImageFolderConfig, Manifest, read_dataset
from sihwa.export.kept_images import choose_images, pack_images
from tests.helpers import random_images, save_images


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    for name, seed in (("good", 1), ("bad", 2)):
        save_images(tmp_path / "parts" / name, random_images(25, 30, 20, seed))
    config = ImageFolderConfig(name="parts", root=str(tmp_path / "parts"))
    return read_dataset(config, 0)


def certainty(manifest: Manifest) -> np.ndarray:
    """Probabilities whose margin grows with the row."""
    top = np.linspace(0.5, 1, manifest.table.num_rows)
    return np.stack([top, 1 - top], axis=1)


@pytest.mark.parametrize("count", [4, 5])
def test_choose_images_takes_closest_calls_then_even_ones(manifest: Manifest, count: int) -> None:
    calibration = np.flatnonzero(manifest.split == "calibration").tolist()
    step = len(calibration) / (count - 2)
    even = [calibration[int(place * step)] for place in range(count - 2)]
    others = [row for row in calibration if row not in even]
    assert choose_images(manifest, certainty(manifest), count) == [*others[:2], *even]


def test_choose_images_count_above_all_takes_every_one(manifest: Manifest) -> None:
    calibration = np.flatnonzero(manifest.split == "calibration").tolist()
    assert sorted(choose_images(manifest, certainty(manifest), 200)) == calibration
    assert choose_images(manifest, certainty(manifest), 0) == []
    # even then the second half is evenly chosen
    half = len(calibration) // 2
    even = choose_images(manifest, certainty(manifest), 200)[half:]
    assert max(np.diff(even)) <= 2 * max(np.diff(calibration))


def test_pack_images_keeps_files_without_their_names(manifest: Manifest) -> None:
    path = manifest.table["path"].to_pylist()
    packed = pack_images(manifest, [3, 1])
    assert packed == pack_images(manifest, [3, 1])
    with zipfile.ZipFile(io.BytesIO(packed or b"")) as archive:
        assert archive.namelist() == ["000.png", "001.png"]
        assert archive.read("001.png") == Path(path[1]).read_bytes()
    assert pack_images(manifest, []) is None


def test_pack_images_large_file_is_shrunk(manifest: Manifest) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1500, 3000, 3), np.uint8)
    Image.fromarray(noise).save(manifest.table["path"].to_pylist()[0])
    packed = pack_images(manifest, [0])
    with zipfile.ZipFile(io.BytesIO(packed or b"")) as archive:
        [name] = archive.namelist()
        assert name == "000.jpg"
        assert Image.open(io.BytesIO(archive.read(name))).size == (1024, 512)


def test_pack_images_large_file_is_shrunk_as_the_run_reads_it(tmp_path: Path) -> None:
    for seed, name in enumerate(("good", "bad")):
        (tmp_path / name).mkdir()
        for number in range(6):
            rng = np.random.default_rng(10 * seed + number)
            wide = rng.integers(0, 1024, (700, 900)).astype(np.uint16)
            Image.fromarray(wide).save(tmp_path / name / f"{number}.png")
    config = ImageFolderConfig(name="parts", root=str(tmp_path), white=1023)
    with zipfile.ZipFile(io.BytesIO(pack_images(read_dataset(config, 0), [0]) or b"")) as archive:
        assert archive.namelist() == ["000.jpg"]
        assert np.asarray(Image.open(archive.open("000.jpg"))).max() > 240
