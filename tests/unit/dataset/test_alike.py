from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sihwa.dataset import ImageFolderConfig, Manifest, SplitConfig, read_dataset, read_manifest
from sihwa.errors import DatasetError
from tests.helpers import save_images
from tests.unit.dataset.test_near_copies import SIDE, textures


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    root = tmp_path / "parts"
    save_images(root / "good", textures(12, seed=1))
    save_images(root / "bad", textures(12, seed=2))
    for kind in ("good", "bad"):
        for number in range(6):
            save_smaller(root / kind / f"{number:03d}.png", root / kind / f"{number:03d}b.jpg")
    return root


def save_smaller(path: Path, copy: Path) -> None:
    with Image.open(path) as image:
        image.resize((SIDE // 2, SIDE // 2)).save(copy)


def read(root: Path, **settings: object) -> Manifest:
    config = ImageFolderConfig(name="parts", root=str(root), accept_classes=["good"])
    for name, value in settings.items():
        setattr(config, name, value)
    return read_dataset(config, 0)


def by_name(manifest: Manifest, column: str) -> dict[str, str]:
    rows = manifest.table.to_pylist()
    return {"/".join(Path(row["path"]).parts[-2:]): row[column] for row in rows}


@pytest.mark.parametrize("seed", range(3))
def test_read_dataset_near_identical_images_stay_in_one_split(parts: Path, seed: int) -> None:
    config = ImageFolderConfig(name="parts", root=str(parts), accept_classes=["good"])
    manifest = read_dataset(config, seed)
    split, copy_of = by_name(manifest, "split"), by_name(manifest, "copy_of")
    for kind in ("good", "bad"):
        for number in range(6):
            names = f"{kind}/{number:03d}.png", f"{kind}/{number:03d}b.jpg"
            assert len({split[name] for name in names}) == 1
            assert len({copy_of[name] for name in names} - {None}) == 1
    assert sum(name is None for name in copy_of.values()) == 12
    assert len(set(manifest.component)) == 24
    assert any("24 images are near-identical to others, in 12 groups" in n for n in manifest.notes)


def test_read_dataset_near_identical_images_with_two_labels_give_a_note(parts: Path) -> None:
    (parts / "good" / "000b.jpg").rename(parts / "bad" / "moved.jpg")
    manifest = read(parts)
    [note] = [note for note in manifest.notes if "two labels" in note]
    assert "bad/moved.jpg is 'bad'" in note
    assert "good/000.png is 'good'" in note
    assert by_name(manifest, "split")["bad/moved.jpg"] == by_name(manifest, "split")["good/000.png"]


def test_read_dataset_tells_all_conflicts_of_labels_at_once(parts: Path) -> None:
    (parts / "good" / "000b.jpg").rename(parts / "bad" / "moved.jpg")
    for number in (8, 9):
        content = (parts / "good" / f"{number:03d}.png").read_bytes()
        (parts / "bad" / f"copy{number}.png").write_bytes(content)
    with pytest.raises(DatasetError, match="byte-identical images with two labels") as caught:
        read(parts)
    for name in ("008.png", "copy8.png", "009.png", "copy9.png", "moved.jpg"):
        assert name in str(caught.value)


def test_read_dataset_given_splits_that_divide_copies_give_a_note(tmp_path: Path) -> None:
    for kind, seed in (("good", 1), ("bad", 2)):
        save_images(tmp_path / "train" / kind, textures(9, seed=seed))
        save_images(tmp_path / "test" / kind, textures(4, seed=seed + 2))
    save_smaller(tmp_path / "train/good/003.png", tmp_path / "test/good/again.jpg")
    manifest = read(tmp_path)
    assert by_name(manifest, "split")["good/again.jpg"] == "test"
    assert any("good/again.jpg (test)" in note for note in manifest.notes)


def test_read_dataset_from_run_keeps_copies_where_they_were(parts: Path, tmp_path: Path) -> None:
    before = read(parts)
    away = {"train": "test", "calibration": "train", "test": "train"}
    moved = before.table["path"].to_pylist().index(str(parts / "good" / "000b.jpg"))
    split = before.split.tolist()
    split[moved] = away[split[moved]]
    (tmp_path / "run").mkdir()
    before.with_split(split).write(tmp_path / "run" / "manifest.parquet")
    after = read(parts, split=SplitConfig(from_run=str(tmp_path / "run")))
    assert after.split.tolist() == split


def test_read_dataset_group_similar_groups_copies(parts: Path) -> None:
    group = by_name(read(parts, group="similar"), "group")
    assert group["good/000.png"] == group["good/000b.jpg"] is not None
    assert group["good/010.png"] is None


def test_read_dataset_group_similar_without_similar_images_is_refused(tmp_path: Path) -> None:
    for kind, seed in (("good", 1), ("bad", 2)):
        save_images(tmp_path / kind, textures(8, seed=seed))
    with pytest.raises(DatasetError, match="group=similar: gives none of the 16 images a group"):
        read(tmp_path, group="similar")


def test_read_dataset_copies_do_not_depend_on_names(parts: Path) -> None:
    before = read(parts)
    for number, path in enumerate(sorted((parts / "good").iterdir(), reverse=True)):
        path.rename(path.with_name(f"renamed{number}{path.suffix}"))
    after = read(parts)
    for column in ("split", "copy_of", "similar"):
        found = [
            dict(zip(one.table["sha256"].to_pylist(), one.table[column].to_pylist(), strict=True))
            for one in (before, after)
        ]
        assert found[0] == found[1]


def test_read_manifest_of_an_earlier_version_has_no_copies(parts: Path, tmp_path: Path) -> None:
    manifest = read(parts)
    table = manifest.table.drop_columns(["copy_of", "similar"])
    path = tmp_path / "manifest.parquet"
    Manifest(table, "parts", manifest.classes, manifest.accept_classes).write(path)
    again = read_manifest(path)
    assert set(again.table["copy_of"].to_pylist()) == {None}
    assert len(set(again.component)) == len(np.unique(again.table["sha256"].to_pylist()))
